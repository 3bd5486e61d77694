"""The command that tells what is missing or misconfigured."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from aiida.cmdline.utils import echo

from aiida_prospect.cli.root import cmd_root

SIGNS = {'ok': ('✓', 'green'), 'warning': ('!', 'yellow'), 'error': ('✗', 'red')}


@cmd_root.command('doctor')
@click.option(
    '--search', 'search_pk', type=int, help='Look at what the search of this PK needs; by default at all codes.'
)
@click.option('--json', 'as_json', is_flag=True, help='For other programs: everything, as JSON.')
def cmd_doctor(search_pk: int | None, as_json: bool) -> None:
    """Tell what is missing or misconfigured, with the command that mends it; exit status 1 if there are errors."""
    from aiida_prospect.campaign.doctor import examine
    from aiida_prospect.campaign.findings import has_errors
    from aiida_prospect.campaign.runner import use_runner_without_broker
    from aiida_prospect.cli.launch import readable_errors

    use_runner_without_broker()
    findings = []
    with readable_errors():
        for finding in examine(search_pk):
            findings.append(finding)
            if not as_json:
                sign, colour = SIGNS[finding.level.value]
                echo.echo(f' {sign} ', fg=colour, nl=False)
                echo.echo(f'{finding.subject}: {finding.message}')
                if finding.remedy:
                    echo.echo(f'     → {finding.remedy}')
    if as_json:
        echo.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if has_errors(findings):
        sys.exit(1)
