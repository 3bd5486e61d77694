"""A browser without a screen."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope='session')
def browser():
    """Return Chromium, driven by way of its DevTools protocol."""
    webdriver = pytest.importorskip('selenium.webdriver')
    chromium, driver = shutil.which('chromium') or shutil.which('chromium-browser'), shutil.which('chromedriver')
    if not (chromium and driver):
        pytest.skip(
            'no browser: chromium and chromedriver are not installed; deploy/test.sh installs them where it may'
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()
