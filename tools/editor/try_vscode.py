"""Start the extension in a real VS Code, code-server in headless Chromium, and look at what the editor makes of a file.

    python tools/editor/try_vscode.py WORK [--screenshot docs/images/vscode.png]

WORK keeps what npm installs: code-server, parts of which are compiled, and the packages of the extension. That takes
some minutes the first time. Needs node, npm, a C++ compiler, chromium, chromedriver, and `pip install '.[lsp,dev]'`.
Ends with 0 if everything was seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tools" / "editor" / "vscode"
PATIENCE_S = 300.0

TOWN = """\
tax 1
dataset town v1 -> demo v1

encoding: id  # 8-bit PNGs, one number per class
void:     255
url:      https://example.org/town

[ground]
1  drivable    #805080  > road lane_marking    # contains both, and nothing else
2  verge       #70a030  ~ grass sidewalk void  # overlaps both, and things without a class
3  kerb        #f050e0  ~ sidewalk
[rest]
4  sky         #4080b0  = skye
5  animal      #8b4513  ! any                  # a fact: not a source class
6  traffic     #0000c0  > @traffic ! @traffic.person
7  unlabelled  #00ffff  -> any                 # a decision: let the teacher choose
"""


_COMPILED = ("@vscode/spdlog", "native-watchdog", "node-pty")
"""What VS Code cannot start without. Its other packages of this kind need headers of Kerberos, or a download."""


def npm(folder: Path, *arguments: str) -> None:
    subprocess.run(["npm", *arguments, "--no-fund", "--no-audit"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def install(work: Path) -> tuple[Path, Path]:
    """code-server and the packed extension, unless they are there."""
    code, ready = work / "node_modules" / "code-server", work / "ready"
    if not ready.exists():
        work.mkdir(parents=True, exist_ok=True)
        (work / "package.json").write_text("{}")
        npm(work, "install", "--ignore-scripts", "code-server")
        npm(work, "rebuild", "argon2")
        vscode = code / "lib" / "vscode"
        for folder in (vscode, vscode / "extensions"):
            npm(folder, "install", "--omit=dev", "--ignore-scripts")
        npm(vscode, "rebuild", *_COMPILED)
        (vscode / "node_modules.asar").symlink_to("node_modules")
        ready.touch()
    extension = work / "extension"
    shutil.copytree(SOURCE, extension, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (extension / "node_modules").is_dir():
        npm(extension, "install")
    packed = work / "lsu-tax.vsix"
    package = ["npx", "vsce", "package", "--allow-missing-repository", "--skip-license", "-o", str(packed)]
    subprocess.run(package, cwd=extension, check=True, stdout=subprocess.DEVNULL)
    return work / "node_modules" / ".bin" / "code-server", packed


def settings(program: Path) -> dict[str, Any]:
    return {
        "lsu-tax.command": str(program),
        "[tax]": {"editor.codeActionsOnSave": {"source.fixAll": "explicit"}},
        "security.workspace.trust.enabled": False,
        "telemetry.telemetryLevel": "off",
        "workbench.startupEditor": "none",
        "workbench.colorTheme": "Default Light Modern",
        "workbench.secondarySideBar.defaultVisibility": "hidden",
        "chat.disableAIFeatures": True,
        "editor.minimap.enabled": False,
        "extensions.ignoreRecommendations": True,
    }


@contextmanager
def code_server(server: Path, packed: Path, work: Path) -> Iterator[str]:
    """The address of a running code-server that has the extension."""
    user = work / "user"
    shutil.rmtree(user, ignore_errors=True)
    (user / "data" / "User").mkdir(parents=True)
    program = user / "lsu-onto"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m lsu_onto "$@"\n')
    program.chmod(0o755)
    (user / "data" / "User" / "settings.json").write_text(json.dumps(settings(program)))
    own = {"--user-data-dir": "data", "--extensions-dir": "extensions", "--config": "config.yaml"}
    folders = [word for option, name in own.items() for word in (option, str(user / name))]
    subprocess.run([server, *folders, "--install-extension", packed], check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["--auth", "none", "--bind-addr", address, "--disable-telemetry", "--disable-update-check"]
    with (work / "code-server.log").open("wb") as log:
        process = subprocess.Popen([server, *folders, *options], stdout=log, stderr=log, start_new_session=True)
    try:
        wait(lambda: reachable(address), "code-server answers")
        yield f"http://{address}/"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def reachable(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not seen in {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.5)
    print(f"seen: {what}", flush=True)


@contextmanager
def chromium() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,760"):
        options.add_argument(flag)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        yield browser


def look(browser: Any, address: str, folder: Path, screenshot: Path | None) -> None:
    """Open the file as a person does, and wait for everything that the editor should show."""
    file = folder / "town.tax"

    def press(*keys: str) -> None:
        webdriver.ActionChains(browser).send_keys(*keys).perform()

    def text(css: str) -> str:
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent).join('\\n')"
        return str(browser.execute_script(script, css)).replace("\u00a0", " ")

    def colour(word: str) -> str:
        script = """
            const words = [...document.querySelectorAll('.view-line span span')];
            const word = words.find(e => e.textContent.trim() === arguments[0]);
            return word ? getComputedStyle(word).color : '';"""
        return str(browser.execute_script(script, word))

    browser.get(f"{address}?folder={folder}")
    name = '.explorer-folders-view [aria-label="town.tax"]'
    wait(lambda: browser.find_elements("css selector", name), "the folder")
    webdriver.ActionChains(browser).double_click(browser.find_element("css selector", name)).perform()
    wait(lambda: "dataset town v1" in text(".view-lines"), "the file")
    wait(lambda: browser.find_elements("css selector", ".squiggly-error"), "the error in `= skye`")
    wait(lambda: browser.find_elements("css selector", ".squiggly-warning"), "the warning on `~ sidewalk`")
    wait(lambda: "= void" in text(".view-lines"), "the hint behind `! any`")
    wait(lambda: "= car truck bicycle" in text(".view-lines"), "the hint behind `> @traffic ! @traffic.person`")
    wait(lambda: browser.find_elements("css selector", ".detected-link"), "the link in `url:`")
    wait(lambda: browser.find_elements("css selector", ".colorpicker-color-decoration"), "the colours of classes")
    wait(lambda: len({colour("road"), colour("drivable"), colour("skye")}) == 3, "the colours of what names mean")
    if screenshot:
        press(Keys.ESCAPE)
        browser.save_screenshot(str(screenshot))

    def save() -> None:
        """After an edit, because a file without one may not be saved; again and again, because editors give up on fixes
        that take long."""
        press(Keys.ENTER)
        webdriver.ActionChains(browser).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()

    browser.find_element("css selector", ".view-lines").click()
    webdriver.ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.END).key_up(Keys.CONTROL).perform()
    wait(lambda: save() or "< sidewalk\n" in file.read_text(), "the safe fix on save")
    if "= skye" not in file.read_text():
        raise SystemExit("a fix that guesses was applied")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="folder of what is installed")
    parser.add_argument("--screenshot", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    server, packed = install(work)
    folder = work / "project"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "town.tax").write_text(TOWN)
    with code_server(server, packed, work) as address, chromium() as browser:
        try:
            look(browser, address, folder, arguments.screenshot)
        except SystemExit:
            browser.save_screenshot(str(work / "failed.png"))
            raise


if __name__ == "__main__":
    main()
