"""What travels with a job: the part of the package that runs where AiiDA is not installed."""

from __future__ import annotations

from importlib.resources import files

from aiida.common.folders import Folder

# What evaluates potentials of all kinds.
EVALUATION = (
    'aiida_prospect.common',
    'aiida_prospect.methods.evaluators',
    'aiida_prospect.methods.lammps_box',
    'aiida_prospect.methods.lammps_potentials',
    'aiida_prospect.methods.pod_model',
    'aiida_prospect.methods.pw_calculator',
)


def copy_runtime(folder: Folder, *modules: str) -> list[str]:
    """Copy modules of this package into a job's folder, under their own import paths.

    In the working directory ``python -m aiida_prospect.calculations.runners.relax`` then finds the same code that the
    tests import, whatever is installed on the compute side.

    :param modules: import names of modules or of packages; of a package all modules directly in it are taken.
    :return: the paths written, relative to the folder, which a calculation job should exclude from its provenance
        because the version of the package that made the job is recorded already.
    """
    written: set[str] = set()
    for module in modules:
        *parents, name = module.split('.')
        for depth in range(1, len(parents) + 1):
            _copy(folder, '.'.join(parents[:depth]), '__init__.py', written)
        package = files('.'.join(parents))
        if package.joinpath(f'{name}.py').is_file():
            _copy(folder, '.'.join(parents), f'{name}.py', written)
        else:
            for item in files(module).iterdir():
                if item.name.endswith('.py'):
                    _copy(folder, module, item.name, written)
    return sorted(written)


def _copy(folder: Folder, package: str, filename: str, written: set[str]) -> None:
    path = f'{package.replace(".", "/")}/{filename}'
    if path in written:
        return
    folder.get_subfolder(package.replace('.', '/'), create=True)
    with folder.open(path, 'w', encoding='utf8') as handle:
        handle.write(files(package).joinpath(filename).read_text(encoding='utf8'))
    written.add(path)
