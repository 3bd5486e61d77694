"""Disturb searches on the test cluster on purpose, and check that they end as if nothing had happened.

bash deploy/test-cluster.sh up
python tests/faults/run.py --faults 30 --seed 1     # what has a result in tests/faults/results is not done again
python tests/faults/run.py table                    # writes docs/faults.md
bash deploy/test-cluster.sh down

Several faults hit one search, one after the other, each in a stage of its own; with `--each 1` one per search.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import installation
import numpy as np

RESULTS = installation.HERE / 'results'
UNDISTURBED = RESULTS / 'undisturbed.json'
# What `aiida-prospect watch` says when it has done something.
WATCHED = {
    'played': 'played jobs again',
    'submitted after all': 'found jobs that were submitted',
    'workers of the daemon were restarted': 'restarted the workers',
    'handed to the daemon again': 'handed over what the workers had lost',
    'nobody waits for it': 'ended what nobody waited for',
    'died with its worker': 'marked what died with its worker',
}
# A search takes two or three minutes; after so long it hangs.
TIMEOUT = 1200


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + '\n')


def plan(n_faults: int, seed: int) -> list[dict[str, Any]]:
    """Return number, kind and stage of each fault: each kind once, then again in random order."""
    from faults import FAULTS

    rng = np.random.default_rng(seed)
    names = list(FAULTS)
    while len(names) < n_faults:
        names += rng.permutation(list(FAULTS)).tolist()
    return [
        {'number': number, 'kind': name, 'stage': str(rng.choice(FAULTS[name].stages)), 'seed': seed}
        for number, name in enumerate(names[:n_faults], start=1)
    ]


def next_group(pending: list[dict[str, Any]], each: int) -> list[tuple[str, dict[str, Any]]]:
    """Return faults for one search, with the stages that they hit, in the order of the stages.

    A fault that leaves fewer labels is the only one of its search: the way of the search is another one then.
    """
    from faults import FAULTS
    from scene import STAGES

    group: list[tuple[str, dict[str, Any]]] = []
    chosen = [fault for fault in pending if not FAULTS[fault['kind']].spoils_labels or fault is pending[0]]
    for stage, kind in STAGES.items():
        fault = next((f for f in chosen if f['stage'] == kind and f not in [g for _, g in group]), None)
        if fault is not None and len(group) < each:
            group.append((stage, fault))
    return group


def disturb(group: list[tuple[str, dict[str, Any]]], patience: float) -> None:
    """Run one search, inject the faults, and write the results of those that hit."""
    from aiida import load_profile, orm
    from checks import check, describe, differing_labels
    from faults import FAULTS
    from scene import Missed, Scene, ask

    load_profile()
    start = time.monotonic()
    search = int(installation.command(sys.executable, installation.HERE / 'search.py').split()[-1])
    say(f'search {search}: {", ".join(fault["kind"] + " in " + stage for stage, fault in group) or "undisturbed"}')
    log = installation.cluster() / f'watch-{search}.log'
    command = ['aiida-prospect', 'watch', str(search), '--interval', '10', '--lost-after', '45', '--log', str(log)]
    watch = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    hits = []
    for stage, fault in group:
        scene = Scene(search, stage, np.random.default_rng([fault['seed'], fault['number']]))
        try:
            scene.wait_for_stage()
            at = time.monotonic() - start
            what = FAULTS[fault['kind']].inject(scene)
        except Missed as exception:
            say(f'missed: {fault["kind"]}: {exception}')
            continue
        say(f'{fault["kind"]} in {stage}: {what}')
        hits.append({**fault, 'hit': stage, 'at': round(at), 'what': what})
    deadline = start + patience
    while not ask(lambda: orm.load_node(search).is_terminated) and time.monotonic() < deadline:
        time.sleep(1)
    told = describe(node := ask(lambda: orm.load_node(search)), time.monotonic() - start)
    # It has a last look after the end of the search.
    with suppress(subprocess.TimeoutExpired):
        watch.wait(60)
    watch.terminate()
    watch.wait()
    spoiled = sum(FAULTS[hit['kind']].spoils_labels for hit in hits)
    laws = check(node, told, json.loads(UNDISTURBED.read_text()), log, spoiled) if group else {}
    watched = [line for line in log.read_text().splitlines() if any(word in line for word in WATCHED)]
    if not group:
        write(UNDISTURBED, told)
    undisturbed = json.loads(UNDISTURBED.read_text())
    for hit in hits:
        others = [other['number'] for other in hits if other is not hit]
        # Of a search that one fault has ended nothing is known about the faults before it.
        survived = None if laws['the search ended'] and hit is not hits[-1] else not any(laws.values())
        result = {**hit, 'with': others, 'survived': survived, 'laws': laws, 'search': told}
        result.update(losses=losses(node, hit['hit']), watch=watched, labels=differing_labels(told, undisturbed))
        write(RESULTS / f'{hit["number"]:03d}.json', result)
    say(f'search {search} ended after {told["seconds"]} s with {told["exit_status"]}, {laws}')
    if not node.is_terminated:
        installation.command('verdi', 'process', 'kill', str(search), '--timeout', '30', check=False)


def losses(search: Any, stage: str) -> list[str]:
    """Return what is reported of the jobs of a stage that were lost."""
    from checks import jobs_of, reports
    from scene import stage_of

    lines = reports(search).splitlines()
    lost = [job for job in jobs_of(search) if job.exit_status and stage_of(job, search.pk) == stage]
    return [line for job in lost for line in lines if f'<{job.pk}>' in line]


def is_done(fault: dict[str, Any]) -> bool:
    """Tell whether it is known what becomes of a search with this fault."""
    path = RESULTS / f'{fault["number"]:03d}.json'
    return path.is_file() and json.loads(path.read_text())['survived'] is not None


def say(words: str) -> None:
    print(f'{time.strftime("%H:%M:%S")} {words}', flush=True)


def campaign(n_faults: int, seed: int, each: int) -> None:
    """Inject all faults that have no result yet."""
    installation.enter()
    installation.set_up()
    RESULTS.mkdir(exist_ok=True)
    wanted = plan(n_faults, seed)
    try:
        if not UNDISTURBED.is_file():
            subprocess.run([sys.executable, __file__, '--group', '[]'], check=True)
        missed = 0
        while missed < 3:
            pending = [fault for fault in wanted if not is_done(fault)]
            if not pending:
                break
            installation.set_up()
            # A process of its own, because what a broken connection leaves behind in one is not to be carried on.
            group = json.dumps(next_group(pending, each))
            failed = subprocess.run([sys.executable, __file__, '--group', group], check=False).returncode
            left = sum(not is_done(fault) for fault in pending)
            missed = missed + 1 if failed or left == len(pending) else 0
    finally:
        installation.clean_up()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', nargs='?', choices=('run', 'table'), default='run')
    parser.add_argument('--faults', type=int, default=30)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--each', type=int, default=6, help='faults per search at most')
    parser.add_argument('--group', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.command == 'table':
        from table import write_table

        write_table(RESULTS)
    elif arguments.group is not None:
        installation.enter()
        disturb([(stage, fault) for stage, fault in json.loads(arguments.group)], TIMEOUT)
    else:
        campaign(arguments.faults, arguments.seed, arguments.each)


if __name__ == '__main__':
    main()
