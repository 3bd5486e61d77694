"""Write what happened to the searches that were disturbed as docs/faults.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[2] / 'docs' / 'faults.md'
INTRODUCTION = """\
# Broken on purpose

What became of searches that were disturbed while they ran. Written by `python tests/faults/run.py table` from the
results in `tests/faults/results`, one file per fault; change the generator, not this page.

```bash
bash deploy/test-cluster.sh up
python tests/faults/run.py --faults {total} --seed {seed}     # goes on where it was interrupted
python tests/faults/run.py table
bash deploy/test-cluster.sh down
```

Each search is one for Si4 over SSH and SLURM, with PostgreSQL, RabbitMQ and two workers of the daemon: a pool of 12,
two cycles with 6 and 3 labels, and a final relaxation of the lowest structures. The reference method is a potential
that takes five seconds longer than it needs. `aiida-prospect watch PK --interval 10 --lost-after 45` runs beside it.
Computers are tried again after 2 s instead of 20 s (`transport.task_retry_initial_interval`), so that AiiDA's patience
ends within an outage of a minute and jobs are paused. Faults come at a random, seeded moment, up to six in one search,
each in a stage of its own; a law that is broken counts against all faults of that search.

The laws, checked by `tests/faults/checks.py`: the search ends with a result; its lowest minimum is that of the same
search undisturbed, to 1 meV/atom (not higher, where labels were spoiled on purpose); every candidate has a label with a
status; nothing is computed twice without a loss that is reported, and SLURM's accounting has each job once; no process
and no job is left; every job that failed and every label without numbers is reported.

"""
REMEDIES = """
## What is lost, and what to do

- A label that is not a number or does not converge is lost: its row stays, with status and reason, and the search goes
  on.
- A job whose result file is missing or broken is computed again, up to `escalation.max_losses` times (a relaxation:
  until two in a row brought nothing); that is the only work that is done twice.
- A scratch disk that stays full for longer than these tries ends the stage, and with it the search, with an exit code
  that says so. Make room; `aiida-prospect restart PK` goes on from the last complete cycle.
- After an outage of PostgreSQL that nobody watched, workers of the daemon may keep broken sessions: `verdi daemon
  restart`, then `aiida-prospect watch --once`. A watch that runs during the outage does both.
- A work chain of another package that submits at the very moment at which RabbitMQ is away excepts in AiiDA (those of
  this package wait): the frame of a `PwBaseWorkChain` is then lost, with a reason, and what it left behind `created` is
  ended by `aiida-prospect watch`. Stop RabbitMQ only after `verdi daemon stop`.
- A computer that stays away for longer than AiiDA's five tries pauses its jobs; `aiida-prospect watch` lets them go on,
  without it they stay paused until `verdi process play --all`.
"""

MENDED = """\
## Found and mended

What was found, and the faults as they went before it was mended; they were repeated afterwards.

- A result file that was cut short lost all labels of a cycle, with a reason; from there the search went another way, to
  another minimum. Trainings and relaxations were given up in the same case. All three are repeated now.
- A model that was cut short was taken for a good one, because its parser did not look into it, and the relaxations with
  it ended the search. The runner writes down a digest now, and the parser compares.
- A calculation function that was running in the worker that was killed was run again by its work chain, but the first
  node stayed `running` for ever. `aiida-prospect watch` marks it as killed now.
- A work chain that handed a process to RabbitMQ just when RabbitMQ was away excepted in AiiDA (`submit`), and the
  process stayed `created`. It ended both searches in which RabbitMQ was stopped while the relaxation was being
  submitted. Work chains wait for the broker before they submit now (`workflows/delivery.py`).
- After a restart of PostgreSQL a worker of the daemon that was writing kept a broken session (SQLAlchemy's
  `PendingRollbackError` in the daemon's log), its jobs waited for ever and their tasks were lost from the queue. Search
  no. 10 ended only after `verdi daemon stop; verdi process repair; verdi daemon start` by hand. `aiida-prospect watch`
  restarts the workers now after an outage that it saw, and hands over again what no worker has and no queue holds.
- A worker that was killed between submitting a label and saving the checkpoint of its work chain left the job, and the
  work chain submitted another one. It takes the first one over now (`workflows/delivery.py`).
- The first watch that handed processes over did so after five seconds of silence. On a busy machine one of them was
  just being started, and a label was submitted twice. The silence must last ten minutes by default now.
- A job that was submitted just before PostgreSQL went away, so that its number was not stored, ran again when it was
  handed over. `aiida-prospect watch` asks the queue and SLURM's accounting for it first.
- After a restart of RabbitMQ two workers had the same relaxation, both waited for the broker in the same step, and each
  submitted a job. One at a time looks for a job and submits it now, and the second takes it over.
- A label that was spoiled on purpose led one search to a minimum 88 meV/atom lower than that of the undisturbed one.
  That is no fault: with fewer labels a search goes another way. The law says now that it must not end higher.
"""
# Letters shown of what was told.
LONGEST = 160
TABLE = (
    '| no. | fault | stage | what was done | search | Δ | jobs | s | laws broken | told |',
    '|---|---|---|---|---|---|---|---|---|---|',
)


def write_table(results: Path) -> None:
    """Write the page."""
    told, before = (
        [json.loads(path.read_text()) for path in sorted(folder.glob('[0-9]*.json'))]
        for folder in (results, results / 'before_mending')
    )
    undisturbed = json.loads((results / 'undisturbed.json').read_text())
    TARGET.write_text(page(told, before, undisturbed))


def page(told: list[dict[str, Any]], before: list[dict[str, Any]], undisturbed: dict[str, Any]) -> str:
    """Return the page."""
    from faults import FAULTS

    kept = Counter((result['kind'], result['survived']) for result in told)
    ran = Counter(result['kind'] for result in told)
    searches = {tuple(sorted([result['number'], *result['with']])) for result in told}
    lines = [
        f'{len(told)} faults in {len(searches)} searches;',
        f'{sum(bool(result["survived"]) for result in told)} survived, all laws kept.',
        f'The undisturbed search took {undisturbed["seconds"]} s and ended with {undisturbed["exit_status"]};',
        f'its lowest minimum has {undisturbed["minima"][0]:.4f} eV/atom.',
        '',
        '| fault | ran | survived | not survived | not known, because another fault ended the search |',
        '|---|---|---|---|---|',
        *(
            f'| {name} | {ran[name]} | {kept[name, True]} | {kept[name, False]} | {kept[name, None]} |'
            for name in FAULTS
        ),
    ]
    missing = [name for name in FAULTS if not ran[name]]
    if missing:
        lines += ['', f'Not run yet: {", ".join(missing)}.']
    lines += [
        '',
        '## One by one',
        '',
        'Δ is the difference of the lowest minimum in meV/atom; jobs is how many the search had, undisturbed '
        f'{sum(undisturbed["jobs"].values())}.',
        '',
        *TABLE,
        *(row(result, undisturbed) for result in told),
        '',
        *MENDED.splitlines(),
        '',
        *TABLE,
        *(row(result, undisturbed) for result in before),
        '',
    ]
    seed = told[0]['seed'] if told else 1
    return INTRODUCTION.format(total=max(30, len(told)), seed=seed) + '\n'.join(lines) + REMEDIES


def row(result: dict[str, Any], undisturbed: dict[str, Any]) -> str:
    """Return the line of one fault."""
    from run import WATCHED

    search = result['search']
    broken = '; '.join(f'{law}: {what}' for law, what in result['laws'].items() if what)
    minima = search['minima']
    difference = f'{1000 * (minima[0] - undisturbed["minima"][0]):+.2f}' if minima else 'none'
    words = [re.sub(r'^\[.*?\]: ', '', line)[:LONGEST] for line in result['losses'] if 'launching' not in line]
    done = [deed for sign, deed in WATCHED.items() if any(sign in line for line in result['watch'])]
    words += [f'`watch` {", ".join(done)}'] if done else []
    words += [f'labels: {result["labels"]}'] if result['labels'] else []
    cells = (
        result['number'],
        result['kind'],
        result['hit'],
        result['what'],
        search['exit_status'],
        difference,
        sum(search['jobs'].values()),
        search['seconds'],
        broken or 'none',
        '; '.join(words),
    )
    return '| ' + ' | '.join(str(cell).replace('|', '\\|').replace('\n', ' ') for cell in cells) + ' |'
