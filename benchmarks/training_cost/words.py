"""What the page says around its tables."""

PREFACE = """\
Made by `python -m benchmarks.training_cost table` from the results under `benchmarks/results/training_cost`;
the commands that make these are in the help of the module. Labels: frames of relaxations of random Si8 on the
SNAP of Zuo et al. (2020), half of them minima. Seconds are those of a processor, import and test of the model
included, unless it says otherwise; where a training was interrupted and taken up again they are not known.
Every row is a single training, with one seed: small differences between rows say nothing. Tables have only what
was made on the same data as the most recent results; what was not is named at the end.
Errors without a rank near one are of little use: a search asks which minimum is the lowest.\
"""

LADDER = """\
{labels} labels; errors on {frames} frames of other crystals, those of energies without their mean. Warm: from a
potential that was trained on {earlier} of these labels. The protocols `fast` and `balanced` of `deepmd` have
equal networks and steps: {balanced}; `stringent`: {stringent}.\
"""

THREADS = """\
A job gets one thread, by the variables that `calculations/runners/train.py` sets unless the job or the code
sets others: `OMP_NUM_THREADS`, `DP_INTRA_OP_PARALLELISM_THREADS` and `DP_INTER_OP_PARALLELISM_THREADS`. By
default TensorFlow and PyTorch take all cores that they see, in each process. {steps} steps of the network of
`balanced`; medians of rounds in which the cases take turns.\
"""

STAGES = """\
Medians over searches of the fast protocol with ML-POD; of the work chain core seconds as its jobs report them,
the import of programs in each job included, of one process those of its processor.\
"""

MODELS = """\
Errors of the energies of {minima} minima that no training has seen, less than {window} eV/atom above the
lowest, and their rank correlation{spread}. {crystals} other random crystals were relaxed with the model for
{steps} steps and then evaluated on the surface: those that did not collapse, their rank correlation, their
median energy above diamond, and the lowest of the three that the model has lowest.\
"""

STARTS = """\
A model is trained on other crystals, and then on few labels of the target: by `dp --tf train --finetune` where the
energies have another zero (other salts), by `--init-frz-model` where they do not (another cell), as
`--initial-potential` has it. Without a pretrained model: the same network from scratch. The last column: how many
labels a training from scratch needs for the same error of the minima, between those that were run. The targets are
Na4Cl4 on EIM and Si8 on SNAP. Whether whole searches need fewer labels is on the page
[Label efficiency](benchmarks_label_efficiency.md).\
"""
