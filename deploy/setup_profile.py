"""Make the AiiDA profile of the quick start, with this machine as its computer; what is there already is left."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

from aiida import load_profile, orm
from aiida.common.exceptions import NotExistent
from aiida.manage.configuration import create_profile, get_config
from aiida.manage.configuration.config import Config
from aiida.plugins import BrokerFactory

ROOT = Path(__file__).parents[1]
PROFILE = 'prospect'
BROKER = 'core.zeromq'
# Equal inputs give equal results, so a search that is repeated need not compute anything again.
# With wildcards, because AiiDA refuses the name of a plugin that is not installed.
CACHED = [f'aiida.calculations:{name}*' for name in ('prospect.', 'quantumespresso.pw', 'vasp.vasp')]
OPTIONS = {
    'runner.poll.interval': 1,
    'daemon.timeout': 30,
    'caching.enabled_for': CACHED,
}
ONE_THREAD = '\n'.join(
    f'export {name}=1'
    for name in ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS')
)
# By itself each `mpirun` of Open MPI ties its processes to the first cores, although another one is there already.
OPEN_MPI = (
    'export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1\n'
    'export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1'
)


def ensure_profile(config: Config) -> None:
    """Make a profile on SQLite, whose broker is a process of AiiDA's own daemon: no service is needed."""
    if PROFILE not in config.profile_names:
        create_profile(
            config,
            name=PROFILE,
            email='prospect@localhost',
            storage_backend='core.sqlite_dos',
            storage_config={},
            broker_backend=BROKER,
            broker_config=BrokerFactory(BROKER).get_default_config(),
        )
    # Also after an earlier attempt that broke off.
    if config.default_profile_name is None:
        config.set_default_profile(PROFILE).store()
    changed = {name: value for name, value in OPTIONS.items() if config.get_option(name, scope=PROFILE) != value}
    for name, value in changed.items():
        config.set_option(name, value, scope=PROFILE)
    if changed:
        config.store()


def forget_results_of_other_sources(record: Path) -> None:
    """Let caching ignore what was computed before the sources changed; it looks at the version only."""
    digest = hashlib.sha256()
    for folder in ('calculations', 'parsers', 'plugins', 'workflows'):
        for path in sorted((ROOT / folder).rglob('*.py')):
            digest.update(path.read_bytes())
    if record.is_file() and record.read_text() != digest.hexdigest():
        filters = {'process_type': {'like': 'aiida.calculations:prospect.%'}}
        for node in orm.QueryBuilder().append(orm.ProcessNode, filters=filters).all(flat=True):
            node.base.caching.is_valid_cache = False
    record.write_text(digest.hexdigest())


def ensure_computer(work: Path) -> orm.Computer:
    """Return this machine as a computer without queue; jobs run in ``work``."""
    try:
        computer = orm.load_computer('localhost')
    except NotExistent:
        computer = orm.Computer(
            label='localhost',
            hostname='localhost',
            description='This machine, set up by the quick start.',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(work),
        ).store()
    # DeePMD-kit brings an `mpirun` of MPICH into the environment, which starts pw.x as so many copies of one process.
    mpirun = shutil.which('mpirun.openmpi', path='/usr/bin:/usr/local/bin') or 'mpirun'
    computer.set_mpirun_command([mpirun, '-np', '{tot_num_mpiprocs}'])
    computer.set_default_mpiprocs_per_machine(1)
    computer.set_minimum_job_poll_interval(0.5)
    if not computer.is_configured:
        computer.configure(use_login_shell=False, safe_interval=0)
    return computer


def ensure_code(
    computer: orm.Computer, label: str, executable: str, *, plugin: str | None, with_mpi: bool | None, prepend: str
) -> None:
    """Register an executable; a code of that label that is something else now keeps its results under another label.

    :param with_mpi: ``None`` if it runs with MPI and without.
    """
    wanted = {'filepath_executable': executable, 'prepend_text': prepend, 'with_mpi': with_mpi}
    try:
        code = orm.load_code(f'{label}@{computer.label}')
    except NotExistent:
        pass
    else:
        if all(str(getattr(code, name)) == str(value) for name, value in wanted.items()):
            return
        code.label = f'{label}-{code.pk}'
        code.is_hidden = True
    orm.InstalledCode(label=label, computer=computer, default_calc_job_plugin=plugin, **wanted).store()


def main() -> None:
    """Make all that is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--python', required=True, help='interpreter of the compute side')
    parser.add_argument('--work', required=True, type=Path, help='folder where jobs run')
    parser.add_argument('--pw', help='pw.x of Quantum ESPRESSO')
    arguments = parser.parse_args()
    ensure_profile(get_config(create=True))
    load_profile(PROFILE)
    forget_results_of_other_sources(Path(get_config().dirpath) / 'sources.sha256')
    computer = ensure_computer(arguments.work)
    ensure_code(computer, 'python', arguments.python, plugin=None, with_mpi=False, prepend=ONE_THREAD)
    if arguments.pw:
        prepend = f'{ONE_THREAD}\n{OPEN_MPI}'
        ensure_code(computer, 'pw', arguments.pw, plugin='quantumespresso.pw', with_mpi=None, prepend=prepend)


if __name__ == '__main__':
    main()
