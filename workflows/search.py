"""The search: from a composition to its lowest crystal structures, with as few labels as possible."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ProcessSpec, ToContext, WorkChain, if_, while_
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_prospect.common.enums import ScratchPolicy
from aiida_prospect.methods.labels import count_labels, count_usable, lowest_energy
from aiida_prospect.workflows import search_inputs
from aiida_prospect.workflows.delivery import PatientProcess
from aiida_prospect.workflows.explore import ExploreWorkChain
from aiida_prospect.workflows.losses import how_it_ended
from aiida_prospect.workflows.scratch import clean_scratch
from aiida_prospect.workflows.search_ports import define_inputs, define_outputs
from aiida_prospect.workflows.spending import SpendingProcess
from aiida_prospect.workflows.train.ensemble import TrainEnsembleWorkChain

generate_pool = CalculationFactory('prospect.generate_pool')
refill_pool = CalculationFactory('prospect.refill_pool')
cluster_pool = CalculationFactory('prospect.cluster_pool')
select_candidates = CalculationFactory('prospect.select_candidates')
select_finalists = CalculationFactory('prospect.select_finalists')
assess_convergence = CalculationFactory('prospect.assess_convergence')
rank_minima = CalculationFactory('prospect.rank_minima')
extract_structure = CalculationFactory('prospect.extract_structure')


class SearchWorkChain(SpendingProcess, PatientProcess, WorkChain):
    """Find the stable and low-lying metastable crystal structures of a composition.

    Each cycle chooses candidates from the pool, has them labelled, trains an ensemble of force fields on all labels and
    relaxes the pool with it, until the lowest clusters of relaxed structures are stable and confirmed by labels, or the
    budget is spent; the core hours are looked at before each of these stages. Then the lowest ones are relaxed with the
    reference method and ranked.

    What a cycle gives is attached as it arises (``cycle_03.labels``, ``.potentials``, ``.pool``, ``.clusters``,
    ``.assessment``), so that nothing is lost by a later failure: see :meth:`get_builder_restart`.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        define_inputs(spec)
        spec.outline(
            cls.setup,
            if_(cls.should_make_pool)(cls.make_pool),
            while_(cls.should_run_cycle)(
                if_(cls.should_select)(cls.select),
                if_(cls.should_label)(cls.run_label, cls.inspect_label),
                if_(cls.should_train)(cls.run_train, cls.inspect_train),
                if_(cls.should_explore)(cls.run_explore, cls.inspect_explore, cls.assess),
            ),
            cls.run_final,
            cls.inspect_final,
            cls.results,
        )

        define_outputs(spec)

    get_builder_from_protocol = classmethod(search_inputs.get_builder_from_protocol)
    get_builder_restart = classmethod(search_inputs.get_builder_restart)

    def setup(self) -> None:
        """Take up an earlier search, or start at the beginning."""
        restart = self.inputs.get('restart', {})
        self.ctx.cycle = restart['cycle'].value if 'cycle' in restart else 0
        self.ctx.labels = dict(restart.get('labels', {}))
        self.ctx.potentials = dict(restart.get('potentials', {}))
        self.ctx.pool = restart.get('pool')
        self.ctx.candidates = None
        self.ctx.assessment = restart.get('assessment')
        self.begin_to_spend()
        if self.ctx.pool is not None:
            self._cluster()

    def should_make_pool(self) -> bool:
        """Tell whether no pool was handed over."""
        return self.ctx.pool is None

    def make_pool(self) -> Any:
        """Make the random crystals."""
        parameters = self.inputs.pool.parameters
        result, node = generate_pool.run_get_node(
            parameters=parameters, **self.inputs.pool.get('structures', {}), metadata={'call_link_label': 'pool'}
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_POOL_FAILED.format(detail=node.exit_message)
        self.ctx.pool = result['pool']
        self.out('pool_report', result['report'])
        self.report(f'pool: {len(self.ctx.pool.frames)} crystals')
        self._cluster()

    def _cluster(self) -> None:
        parameters = orm.Dict(self.inputs.parameters['clusters'])
        label = f'cycle_{self.ctx.cycle:02d}_cluster'
        self.ctx.clusters = cluster_pool(self.ctx.pool, parameters, metadata={'call_link_label': label})['clusters']

    @property
    def _key(self) -> str:
        return f'cycle_{self.ctx.cycle:02d}'

    @property
    def _n_labels(self) -> int:
        return search_inputs.count_own_labels(self.ctx.labels)

    @property
    def spent(self) -> dict[str, float]:
        """What was spent of a budget."""
        return {'labels': self._n_labels, 'cycles': self.ctx.cycle, 'core_hours': self.core_hours}

    @property
    def _n_usable(self) -> int:
        return sum(count_usable(labels.frames) for labels in self.ctx.labels.values())

    @property
    def _n_wanted(self) -> int:
        """The number of labels that this cycle asks for; before there are potentials what is not there yet.

        No labels if nothing but new crystals is missing until the search is at its end.
        """
        if self.ctx.assessment is not None and not self.ctx.assessment.get_dict().get('needs_labels', True):
            return 0
        values = self.inputs.parameters['selection']
        is_first = self.ctx.cycle == 0 or not self.ctx.potentials
        wanted = max(values['n_initial'] - self._n_usable, 0) if is_first else values['n_select']
        limit = self.inputs.budget.get_dict().get('max_labels')
        return int(wanted if limit is None else min(wanted, limit - self._n_labels))

    def should_run_cycle(self) -> bool:
        """Tell whether there is no reason to stop yet."""
        return self.can_afford('label', 0 if self._key in self.ctx.labels else self._n_wanted)

    def should_select(self) -> bool:
        """Tell whether this cycle has no labels from an earlier search, and needs some."""
        return self._key not in self.ctx.labels and self._n_wanted > 0

    def select(self) -> None:
        """Choose what to label next."""
        values = self.inputs.parameters['selection']
        parameters = {
            **{key: value for key, value in values.items() if key not in ('n_initial', 'n_select')},
            'n_select': self._n_wanted,
            'cycle': self.ctx.cycle,
            'seed': self.inputs.seed.value,
        }
        self.ctx.candidates = select_candidates(
            pool=self.ctx.pool,
            clusters=self.ctx.clusters,
            parameters=orm.Dict(parameters),
            **self.ctx.labels,
            metadata={'call_link_label': f'{self._key}_select'},
        )['candidates']
        self.out(f'{self._key}.candidates', self.ctx.candidates)
        self.report(f'cycle {self.ctx.cycle}: {len(self.ctx.candidates.frames)} candidates chosen')

    def should_label(self) -> bool:
        """Tell whether there are candidates without labels."""
        return self.should_select() and len(self.ctx.candidates.frames) > 0

    def _label(self, candidates: Any, task: str, call_link_label: str) -> Any:
        return self.submit(
            WorkflowFactory(self.inputs.label_workflow.value),
            **{**self.inputs.label, 'clean_workdir': self.inputs.clean_workdir},
            candidates=candidates,
            task=orm.Str(task),
            metadata={'call_link_label': call_link_label},
        )

    def run_label(self) -> Any:
        """Have the candidates labelled."""
        return ToContext(label=self._label(self.ctx.candidates, 'single_point', f'{self._key}_label'))

    def inspect_label(self) -> Any:
        """Take what was labelled, also when some of it failed."""
        node = self.ctx.label
        self._clean(node)
        if 'labels' in node.outputs:
            self.ctx.labels[self._key] = node.outputs.labels
            self.out(f'{self._key}.labels', node.outputs.labels)
            self.count_cost('label', node, count_labels(node.outputs.labels.frames))
        usable = self._n_usable
        detail = f'the labelling ended with {how_it_ended(node)}'
        if usable < self.inputs.parameters['min_usable'] or self._labelling_is_broken:
            return self.exit_codes.ERROR_LABEL_FAILED.format(cycle=self.ctx.cycle, count=usable, detail=detail)
        self._tell_of_losses('labelling', node)
        best = f'the best at {self._lowest_label:.4f} eV/atom'
        self.report(f'cycle {self.ctx.cycle}: {self._n_labels} labels, {usable} usable, {best}')

    @property
    def _labelling_is_broken(self) -> bool:
        """Whether this cycle has left no labels at all, or none of use like the one before that asked for some."""
        own = search_inputs.own_labels(self.ctx.labels)
        last = [search_inputs.is_of_no_use(own[name]) for name in sorted(own)[-2:]]
        return self._key not in own or (len(last) == 2 and all(last))

    def should_train(self) -> bool:
        """Tell whether there are labels that the potentials have not seen."""
        is_needed = self.ctx.cycle == 0 or not self.ctx.potentials or self._key in self.ctx.labels
        return is_needed and self.can_afford('train')

    def run_train(self) -> Any:
        """Train the ensemble on all labels, beginning with the ensemble of the cycle before.

        A restart may have found no candidates for the labels that it lacks.
        """
        least = self.inputs.parameters['min_usable']
        if self._n_usable < least:
            detail = f'at least {least} are needed, and there are no candidates for more: make the pool larger'
            return self.exit_codes.ERROR_LABEL_FAILED.format(cycle=self.ctx.cycle, count=self._n_usable, detail=detail)
        inputs = AttributeDict(self.exposed_inputs(TrainEnsembleWorkChain, 'train'))
        inputs.training = dict(self.ctx.labels)
        inputs.seed = orm.Int(1000 * self.inputs.seed.value + self.ctx.cycle)
        if self.ctx.potentials:
            inputs.initial = dict(self.ctx.potentials)
        inputs.setdefault('metadata', {})['call_link_label'] = f'{self._key}_train'
        return ToContext(train=self.submit(TrainEnsembleWorkChain, **inputs))

    def inspect_train(self) -> Any:
        """Take the ensemble."""
        node = self.ctx.train
        self._clean(node)
        if 'potentials' not in node.outputs:
            detail = how_it_ended(node)
            return self.exit_codes.ERROR_TRAIN_FAILED.format(cycle=self.ctx.cycle, detail=detail)
        self.ctx.potentials = {key: node.outputs.potentials[key] for key in node.outputs.potentials}
        for key, potential in self.ctx.potentials.items():
            self.out(f'{self._key}.potentials.{key}', potential)
        for name in ('acceptance', 'report'):
            if name in node.outputs:
                self.out(f'{self._key}.{"training_report" if name == "report" else name}', node.outputs[name])
        self.count_cost('train', node)
        self._tell_of_losses('training', node)

    def should_explore(self) -> bool:
        """Tell whether the search goes on with this cycle."""
        return self.can_afford('explore')

    def run_explore(self) -> Any:
        """Relax the pool with the ensemble; what is of no more use makes room for new crystals."""
        if self.ctx.cycle > 0:
            self._refill()
        inputs = AttributeDict(self.exposed_inputs(ExploreWorkChain, 'explore'))
        inputs.pool = self.ctx.pool
        inputs.parameters = self._explore_parameters(inputs.parameters)
        inputs.potentials = dict(self.ctx.potentials)
        inputs.setdefault('metadata', {})['call_link_label'] = f'{self._key}_explore'
        return ToContext(explore=self.submit(ExploreWorkChain, **inputs))

    def _refill(self) -> None:
        parameters = {
            **self.inputs.pool.parameters.get_dict(),
            **self.inputs.parameters['refill'],
            'seed': self.inputs.seed.value,
            'cycle': self.ctx.cycle,
            # Without labels the ensemble has learnt nothing that could settle them.
            'keep_uncertain': self._key in self.ctx.labels,
        }
        refilled, node = refill_pool.run_get_node(
            pool=self.ctx.pool,
            clusters=self.ctx.clusters,
            parameters=orm.Dict(parameters),
            **{f'own_{name}': node for name, node in self.inputs.pool.get('structures', {}).items()},
            metadata={'call_link_label': f'{self._key}_refill'},
        )
        if node.is_finished_ok:
            self.ctx.pool = refilled
        else:
            self.report(f'cycle {self.ctx.cycle}: the pool stays as it is: {node.exit_message}')

    def _explore_parameters(self, parameters: orm.Dict) -> orm.Dict:
        """Add the energy below which the ensemble has a hole, unless the user gave one."""
        values = parameters.get_dict()
        sanity = values.setdefault('sanity', {})
        margin = self.inputs.parameters['hole_depth']
        # There is none if all labels are of other compositions.
        if sanity.get('lowest_energy') is None and margin is not None and np.isfinite(self._lowest_label):
            sanity['lowest_energy'] = self._lowest_label - margin
        return orm.Dict(values)

    @property
    def _lowest_label(self) -> float:
        composition = self.inputs.pool.parameters['composition']
        return min(lowest_energy(labels.frames, composition) for labels in self.ctx.labels.values())

    def inspect_explore(self) -> Any:
        """Take the relaxed pool and its clusters."""
        node = self.ctx.explore
        self._clean(node)
        if 'pool' not in node.outputs:
            detail = how_it_ended(node)
            return self.exit_codes.ERROR_EXPLORE_FAILED.format(cycle=self.ctx.cycle, detail=detail)
        self.ctx.pool = node.outputs.pool
        self.out(f'{self._key}.pool', self.ctx.pool)
        self.count_cost('explore', node)
        self._tell_of_losses('relaxation', node)
        self._cluster()
        self.out(f'{self._key}.clusters', self.ctx.clusters)

    def _tell_of_losses(self, stage: str, node: Any) -> None:
        """Report a stage that left what the search can go on with, and not all."""
        if not node.is_finished_ok:
            self.report(f'cycle {self.ctx.cycle}: the {stage} ended with {how_it_ended(node)}')

    def _clean(self, node: Any) -> None:
        """Remove the folders of a stage that has ended."""
        for failure in clean_scratch([node], ScratchPolicy(self.inputs.clean_workdir.value)).failures:
            self.report(failure)

    def assess(self) -> None:
        """Judge whether the lowest clusters are stable and confirmed, or the budget is spent."""
        before = {'previous': self.ctx.assessment} if self.ctx.assessment is not None else {}
        assessment = assess_convergence(
            pool=self.ctx.pool,
            clusters=self.ctx.clusters,
            parameters=orm.Dict({**self.inputs.parameters['convergence'], 'cycle': self.ctx.cycle}),
            **before,
            **self.ctx.labels,
            metadata={'call_link_label': f'{self._key}_assess'},
        )['assessment']
        self.ctx.assessment = assessment
        self.out(f'{self._key}.assessment', assessment)
        self.report(f'cycle {self.ctx.cycle}: {assessment["reason"]}')
        self.ctx.cycle += 1
        self.decide_stop(assessment)

    def run_final(self) -> Any:
        """Relax the lowest structures with the reference method."""
        self.ctx.finalists = select_finalists(
            pool=self.ctx.pool,
            clusters=self.ctx.clusters,
            parameters=orm.Dict(
                {**self.inputs.parameters['final'], 'tolerance': self.inputs.parameters['clusters']['tolerance']}
            ),
            **self.ctx.labels,
            metadata={'call_link_label': 'final_select'},
        )
        if not len(self.ctx.finalists):
            return self.exit_codes.ERROR_FINAL_RELAXATION_FAILED.format(detail='the pool has no minimum')
        self.report(f'relaxing the {len(self.ctx.finalists)} lowest structures with the reference method')
        return ToContext(final=self._label(self.ctx.finalists, 'relax', 'final_label'))

    def inspect_final(self) -> Any:
        """Take what was relaxed."""
        node = self.ctx.final
        self._clean(node)
        usable = count_usable(node.outputs.labels.frames) if 'labels' in node.outputs else 0
        if not usable:
            detail = how_it_ended(node)
            return self.exit_codes.ERROR_FINAL_RELAXATION_FAILED.format(detail=detail)

    def results(self) -> Any:
        """Attach the ranked minima."""
        ranked = rank_minima(
            relaxed=self.ctx.final.outputs.labels,
            parameters=orm.Dict(self.inputs.parameters['ranking']),
            **self.inputs.get('references', {}),
            metadata={'call_link_label': 'final_rank'},
        )
        self.out('minima', ranked['minima'])
        self.out('ranking', ranked['report'])
        for index in range(len(ranked['minima'].frames)):
            structure = extract_structure(
                ranked['minima'], orm.Int(index), metadata={'call_link_label': f'final_extract_{index:02d}'}
            )
            self.out(f'structures.minimum_{index:02d}', structure)
        if self.ctx.stop['reason'] != 'converged':
            return self.exit_codes.ERROR_BUDGET_SPENT.format(sentence=self.ctx.stop['sentence'])
