"""JupyterLab as a person sees it: the lab opens, a check is wrong, the mistake is mended, the button turns green."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# Flags that keep Chromium from talking to hosts on the Internet, and let it run as root in CI.
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000")
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"


@pytest.fixture
def browser(tmp_path, request):
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(SCREENSHOTS / f"{request.node.name}.png"))  # how it ended, well or not
    driver.quit()


def environment(home, tmp_path):
    env = {**os.environ, "KIT_HOME": str(home), "KIT_WORK": str(tmp_path / "work"), "HOME": str(tmp_path)}
    env.pop("KUBECONFIG", None)
    return env


def run_kit(cluster, tmp_path, *arguments):
    subprocess.run([sys.executable, "-m", "kitlib", *arguments], check=True,
                   env=environment(cluster.directory.path.parents[1], tmp_path))


def open_lab(stem, home, tmp_path):
    """`kit lab STEM --no-browser`, until it prints its URL."""
    server = subprocess.Popen([sys.executable, "-m", "kitlib", "lab", stem, "--no-browser"],
                              env=environment(home, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    waiting = selectors.DefaultSelector()
    waiting.register(server.stdout, selectors.EVENT_READ)
    said, end = "", time.monotonic() + 60
    while time.monotonic() < end and waiting.select(end - time.monotonic()):
        said += os.read(server.stdout.fileno(), 65536).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", said)
        if found:
            return server, found[0]
    server.kill()
    raise AssertionError(f"no URL in {said}")


def click_menu(browser, menu, command):
    browser.find_element(By.XPATH, f"//div[contains(@class,'lm-MenuBar-itemLabel') and text()='{menu}']").click()
    WebDriverWait(browser, 10).until(
        lambda b: b.find_element(By.CSS_SELECTOR, f"li[data-command='{command}']").is_displayed())
    browser.find_element(By.CSS_SELECTOR, f"li[data-command='{command}']").click()


@pytest.mark.needs("chromium")
@pytest.mark.timeout(240)
def test_a_wrong_answer_is_mended_and_the_button_turns_green(browser, new_cluster, tmp_path, kubectl_of):
    cluster = new_cluster("lab")
    cluster.start()
    kubectl = kubectl_of(cluster)
    server, url = open_lab("lab00_welcome", cluster.directory.path.parents[1], tmp_path)
    try:
        browser.get(url)
        wait = WebDriverWait(browser, 90)
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"))
        wait.until(lambda b: "| Idle" in b.find_element(By.ID, "jp-main-statusbar").text)
        click_menu(browser, "Run", "runmenu:run-all")
        wait.until(lambda b: len(b.find_elements(By.CSS_SELECTOR, ".kit-check[data-state]")) == 8)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        check = browser.find_elements(By.CSS_SELECTOR, ".kit-check")[2]  # first_object
        wait.until(lambda b: check.get_attribute("data-state") == "wrong")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", check)
        browser.save_screenshot(str(SCREENSHOTS / "lab00-wrong.png"))
        assert "This check failed on purpose" in check.text
        kubectl("-n", "lab00", "create", "configmap", "hello", "--from-literal=greeting=Hello, world!")
        check.find_element(By.TAG_NAME, "button").click()
        wait.until(lambda b: check.get_attribute("data-state") == "passed")
        browser.save_screenshot(str(SCREENSHOTS / "lab00-passed.png"))
        assert "passed" in check.find_element(By.TAG_NAME, "button").text
        colour = check.find_element(By.TAG_NAME, "button").value_of_css_property("background-color")
        assert colour.replace(" ", "") in ("rgba(0,114,79,1)", "rgb(0,114,79)")
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.needs("chromium")
@pytest.mark.timeout(300)
def test_the_talks_figure_is_drawn_in_jupyterlab(browser, new_cluster, tmp_path):
    cluster = new_cluster("lab")
    cluster.start()
    run_kit(cluster, tmp_path, "catch-up", "lab09_replicaset_flow", "--to", "3")
    server, url = open_lab("lab09_replicaset_flow", cluster.directory.path.parents[1], tmp_path)
    try:
        browser.get(url)
        wait = WebDriverWait(browser, 120)
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"))
        wait.until(lambda b: "| Idle" in b.find_element(By.ID, "jp-main-statusbar").text)
        click_menu(browser, "Run", "runmenu:run-all")
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-OutputArea svg.kit"))
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        figure = browser.find_element(By.CSS_SELECTOR, ".jp-OutputArea svg.kit")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
        browser.save_screenshot(str(SCREENSHOTS / "lab09-flow.png"))
        words = figure.text
        for part in ("kube-apiserver", "kube-controller-manager/replicaset", "creates 3 Pods", "Pending → Running"):
            assert part in words
        assert figure.size["width"] > 600
    finally:
        server.terminate()
        server.wait(20)
