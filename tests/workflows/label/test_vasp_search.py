"""A whole search with labels of the program that stands in for VASP, as a user starts it."""

import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node

from aiida_prospect.campaign.codes import check_potcars
from aiida_prospect.campaign.doctor import codes_of
from aiida_prospect.campaign.findings import Level
from aiida_prospect.cli import foreground
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.workflows.search import SearchWorkChain
from aiida_prospect.workflows.summary import summarise

SMALL = {
    'search': {'final': {'n_minima': 1}},
    'pool': {'n_structures': 8},
    'selection': {'selection': {'n_initial': 4, 'n_select': 2}},
    'train': {'n_models': 2},
    'explore': {'parameters': {'max_steps': 10}},
    'label': {'relax': {'max_iterations': 1, 'parameters': {'nsw': 4}}},
}


def test_search_with_labels_of_vasp_ends_and_counts_what_they_cost(
    make_vasp_code, potcar_family, python_code, tmp_path, capsys, monkeypatch
):
    """The core hours that it may take are so few that the labels of the first cycle use them up."""
    # The runner of the command asks the children of a search every minute, unless a profile says otherwise.
    monkeypatch.setattr(foreground, 'run', lambda builder, group: run_get_node(builder)[1])
    (tmp_path / 'overrides.yaml').write_text(yaml.safe_dump(SMALL))
    command = ['search', 'Si4', '--labels', 'vasp', '--code', make_vasp_code().full_label, '--pseudos', potcar_family]
    command += ['--python', python_code.full_label, '--protocol', 'fast', '--max-core-hours', '1e-5']
    command += ['--overrides', str(tmp_path / 'overrides.yaml')]
    cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    assert 'core hours' in capsys.readouterr().out
    search = orm.QueryBuilder().append(SearchWorkChain).order_by({SearchWorkChain: {'id': 'desc'}}).first(flat=True)
    assert search.exit_status == SearchWorkChain.exit_codes.ERROR_BUDGET_SPENT.status, search.exit_message
    assert search.outputs.stop['reason'] == 'max_core_hours'
    assert len(search.outputs.minima) == 1
    (finding,) = check_potcars(list(codes_of(search)), search)
    assert (finding.level, finding.message) == (Level.OK, f'{potcar_family}: Si, 325 eV')
    summary = summarise(search)
    assert summary['labels']['by_status'] == {'ok': 4}
    jobs = [job for job in search.called_descendants if job.process_label == 'VaspCalculation']
    elapsed = [job.outputs.misc['run_stats']['elapsed_time'] for job in jobs]
    assert summary['cost']['label'] + summary['cost']['final'] == pytest.approx(sum(elapsed), rel=1e-3)
    assert search.outputs.stop['spent']['core_hours'] * 3600 > sum(elapsed[:4]) * 0.999
