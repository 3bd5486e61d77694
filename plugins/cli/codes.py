"""The codes that a user names."""

from __future__ import annotations

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.orm.utils.loaders import CodeEntityLoader
from aiida.plugins import WorkflowFactory

from aiida_prospect.campaign.codes import is_python
from aiida_prospect.workflows.search_inputs import LABEL_PREFIX, label_names


def find_code(label: str | None, plugin: str) -> orm.AbstractCode:
    """Return the code of that label, or the only one for a plugin.

    :raises ValueError: if it is not there, with what to do.
    """
    if label is not None:
        return _load_code(label, '--code', f'/path/to/program --default-calc-job-plugin {plugin}')
    query = orm.QueryBuilder().append(orm.AbstractCode, filters={'attributes.input_plugin': plugin})
    codes = [code for code in query.all(flat=True) if not code.is_hidden]
    if len(codes) != 1:
        names = ', '.join(code.full_label for code in codes) or 'none'
        raise ValueError(f'which code for `{plugin}`? Give it with `--code`; there are: {names}')
    return codes[0]


def find_python(label: str, option: str = '--python') -> orm.AbstractCode:
    """Return the code of that label, which must be a Python interpreter.

    :param option: that it was given with.
    :raises ValueError: if it is not there or for another program, with what to do.
    """
    code = _load_code(label, option, '/path/to/python')
    plugin = code.default_calc_job_plugin
    if plugin is None or plugin.startswith('prospect.') or is_python(code):
        return code
    labelling = next((name for name in label_names() if plugin == WorkflowFactory(LABEL_PREFIX + name).PLUGIN), None)
    advice = f'it goes with `--labels {labelling} --code {label}`' if labelling else 'see `verdi code list`'
    raise ValueError(f'the code `{label}` is for `{plugin}`, `{option}` needs a Python interpreter: {advice}')


def _load_code(label: str, option: str, executable: str) -> orm.AbstractCode:
    try:
        return orm.load_code(label)
    except MultipleObjectsError as error:
        codes = CodeEntityLoader.get_query_builder(label)[0].all(flat=True)
        names = ', '.join(sorted(f'{code.full_label} (PK {code.pk})' for code in codes))
        raise ValueError(f'several codes are called `{label}`: give one of these with `{option}`: {names}') from error
    except NotExistent as error:
        name, _, computer = label.partition('@')
        command = f'verdi code create core.code.installed --label {name} --computer {computer or "COMPUTER"}'
        raise ValueError(
            f'there is no code `{label}`: give another one with `{option}`, see `verdi code list`, or make it with '
            f'`{command} --filepath-executable {executable}`'
        ) from error
