# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the programs that measure, and reads what they print: Google Benchmark's JSON, or one JSON object a line
{"name", "value", "unit", "baseline"}."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "build/release"
DEV = ROOT / "build/dev"


class Broken(Exception):
    """A bench could not run; says which and why."""


def call(*words, cwd=ROOT, limit=900):
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=limit)
    except OSError as failure:
        raise Broken(f"{words[0]}: {failure.strerror}") from failure
    except subprocess.TimeoutExpired as failure:
        raise Broken(f"{' '.join(words)}: no end after {limit} s") from failure
    if done.returncode != 0:
        raise Broken(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def build_targets(folder, *targets):
    if not (folder / "build.ninja").exists():
        call("cmake", "--preset", folder.name)
    return call("cmake", "--build", folder, "--target", *targets, limit=3600)


def google_benchmark(program):
    """{name: measurement}; `NAME/baseline` becomes the baseline of NAME. Interleaved, so that drift hits both alike.
    A bench that counts items is judged by the time of one."""
    report = json.loads(call(program, "--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=15",
                             "--benchmark_min_time=0.05", "--benchmark_report_aggregates_only=true",
                             "--benchmark_format=json"))
    medians = {b["run_name"].removesuffix("/manual_time"): per_item(b)
               for b in report["benchmarks"] if b.get("aggregate_name") == "median"}
    found = {}
    for name, (value, unit) in medians.items():
        if not name.endswith("/baseline"):
            beside = medians.get(name + "/baseline")
            found[name] = {"value": value, "unit": unit, "baseline": beside and beside[0]}
    return found


def per_item(bench):
    """The time of one item, in nanoseconds, or that of the whole iteration."""
    if "items_per_second" in bench:
        return 1e9 / bench["items_per_second"], "ns"
    return bench["real_time"], bench["time_unit"]


def json_lines(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("{"):
            item = json.loads(line)
            found[item["name"]] = item
    return found


def engine(build):
    if build:
        build_targets(RELEASE, "engine_bench", "morsel-explore")
    program = RELEASE / "bin/engine_bench"
    return {**google_benchmark(program), **json_lines(call(program, "--memory")),
            **json_lines(call(RELEASE / "bin/morsel-explore", "speed"))}


def inspect(build):
    if build:
        build_targets(RELEASE, "inspect_bench", "vm_inspect_bench", "morsel-vm-holder")
        build_targets(DEV, "start-products")
    # Optimised programs, and the guest of the build for development: one kernel and one image for all.
    os.environ["MORSEL_BUILD"] = str(DEV)
    return {**google_benchmark(RELEASE / "bin/inspect_bench"), **json_lines(call(RELEASE / "bin/vm_inspect_bench"))}


def session(build):
    if build:
        build_targets(RELEASE, "history_bench")
    return google_benchmark(RELEASE / "bin/history_bench")


def in_vm(program, *options):
    name = f"bench-{os.getpid()}"
    morselctl = DEV / "bin/morselctl"
    call(morselctl, "vm", "up", name, *options)
    try:
        return json_lines(call(morselctl, "--vm", name, "run", program))
    finally:
        call(morselctl, "vm", "down", name)


def vm(build):
    if build:
        build_targets(DEV, "start-products", "kmod-unobserved", "vm_start_bench", "vm_session_bench",
                      "vm_observe_bench")
    # Room for a 1-GiB object and a 1-GiB memfd, one after the other; the module refuses what would starve the guest.
    attached = in_vm("morsel-attach-bench", "--memory", "3G")
    # Beside KVM, on the SVM that QEMU emulates, whatever this machine has.
    vcpu = in_vm("morsel-vcpu-bench", "--memory", "3G", "--accelerator", "tcg", "--load", "kvm-amd")
    # The other back end, on the VMX that Bochs emulates; the times are the guest's, by its instructions.
    ept = in_vm("morsel-vcpu-bench", "--memory", "512M", "--machine", "bochs", "--load", "kvm-intel")
    return {**attached, **vcpu, **ept, **json_lines(call(DEV / "bin/vm_start_bench")),
            **json_lines(call(DEV / "bin/vm_session_bench")), **json_lines(call(DEV / "bin/vm_observe_bench"))}


def image(build):
    if build:
        build_targets(DEV, "start-products", "image_bench")
    os.utime(ROOT / "kmod/module.c")
    start = time.monotonic()
    call("cmake", "--build", DEV, "--target", "kmod")
    compiled = time.monotonic()
    new = json_lines(call(DEV / "bin/image_bench"))
    done = time.monotonic()
    if "new image" not in new:
        raise Broken("touching kmod/module.c made no new image")
    call(DEV / "bin/image_bench")
    # A run, not a dry one: a dry one takes the check of globbed folders for a change. That check is no step.
    unchanged = call("ninja", "-C", DEV, "start-products")
    steps = len(re.findall(r"^\[\d+/\d+\] (?!Re-checking globbed)", unchanged, re.M))
    steps += "unchanged image" not in json_lines(call(DEV / "bin/image_bench"))
    return {"image after a change of the module, beyond the compile": {"value": done - compiled, "unit": "s"},
            "compile of the module": {"value": compiled - start, "unit": "s"},
            "steps of an unchanged start": {"value": float(steps), "unit": "steps"}}


def nothing(_build):
    return {}


AREAS = {"engine": engine, "inspect": inspect, "session": session, "vm": vm, "build": image, "gdb": nothing,
         "gui": nothing}


def run(area, build):
    return AREAS[area](build)
