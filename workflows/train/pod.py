"""Fit of one force field of proper orthogonal descriptors that copes with what goes wrong."""

from __future__ import annotations

from aiida.plugins import CalculationFactory

from aiida_prospect.workflows.train.base import TrainBaseWorkChain


class PodTrainWorkChain(TrainBaseWorkChain):
    """Fit one force field of ML-POD; there is nothing to continue, a fit takes seconds."""

    _process_class = CalculationFactory('prospect.pod_train')
    _protocol = 'train_pod'
