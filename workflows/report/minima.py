"""The minima of a search for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from aiida_prospect.methods.crystal_pictures import draw_crystal, scene_of
from aiida_prospect.methods.report.page import Minimum, Picture
from aiida_prospect.methods.report.style import report_style
from aiida_prospect.workflows.provenance.history import trace
from aiida_prospect.workflows.report.material import Material

SIZE = 3.0


def describe_minima(material: Material) -> Sequence[Minimum] | str:
    """Return the minima, the lowest first, or a sentence that says why there are none."""
    ranking, frames = material.summary['ranking'], material.minima
    if ranking is None or frames is None:
        if material.progress['ended']:
            return 'The search ended before its final relaxations, so no minimum has been confirmed.'
        return 'The search has not come to its final relaxations yet, so no minimum has been confirmed.'
    structures = dict(material.search.outputs.structures) if 'structures' in material.search.outputs else {}
    result = []
    for rank, item in enumerate(ranking['minima']):
        node = structures.get(f'minimum_{rank:02d}')
        story = _story(trace(node, material.cycles)) if node is not None else []
        picture = Picture(
            name=f'minimum_{rank:02d}',
            title=f'{rank}: {item["formula"]}, {item["space_group_symbol"]}',
            drawing=_draw(frames[rank]),
            alt=f'Structure of minimum {rank}: {item["formula"]}, space group {item["space_group_symbol"]}.',
        )
        facts = _facts(item) | ({'AiiDA node': str(node.pk)} if node is not None else {})
        result.append(Minimum(picture, facts, story, scene_of(frames[rank])))
    return result


def _draw(frame: Any) -> Figure:
    with report_style():
        figure = Figure(figsize=(SIZE, SIZE), layout='constrained')
        draw_crystal(figure.subplots(), frame)
    return figure


def _facts(item: Mapping[str, Any]) -> dict[str, str]:
    lattice = item['lattice']
    lengths = ', '.join(f'{lattice[name]:.3f}' for name in ('a', 'b', 'c'))
    angles = ', '.join(f'{lattice[name]:.1f}' for name in ('alpha', 'beta', 'gamma'))
    references = ', '.join(match['name'] for match in item.get('references') or [])
    return {
        'above the best': f'{1000 * item["energy_above_best"]:.1f} meV/atom',
        'energy': f'{item["energy_per_atom"]:.4f} eV/atom',
        'space group': f'{item["space_group_symbol"]} ({item["space_group_number"]})',
        'volume': f'{item["volume_per_atom"]:.2f} Å³/atom',
        'a, b, c, conventional': f'{lengths} Å',
        'α, β, γ, conventional': f'{angles}°',
        'atoms in the searched cell': str(item['n_atoms']),
        'same as': references or 'none of the references',
    }


def _story(history: Mapping[str, Any]) -> list[str]:
    """Say in sentences where a minimum comes from."""
    birth, final, entry = history['birth'], history['final'], history['final']['from']
    sentences = []
    if birth:
        sentences.append(f'Began as {history["origin"]} in cycle {birth["cycle"]}: {birth["kind"]}.')
    if history['labels']:
        numbers = ', '.join(f'{label["index"]} (cycle {label["cycle"]})' for label in history['labels'])
        sentences.append(f'Labelled on its way as candidate {numbers}.')
    else:
        sentences.append('None of its own states was labelled; structures like it were.')
    if entry['kind'] == 'pool':
        start = f'from the pool of cycle {entry["cycle"]}'
    else:
        start = f'from label {entry["index"]} of cycle {entry["cycle"]}'
    sentences.append(f'Relaxed with the reference method {start}, {final["evaluations"]} evaluations.')
    if final['reason']:
        sentences.append(f'{final["reason"][0].upper()}{final["reason"][1:]}.')
    return sentences
