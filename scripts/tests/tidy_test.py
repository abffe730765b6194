#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/tidy is fed small trees with one fault each, and must find that fault and nothing else."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TIDY = Path(__file__).resolve().parent.parent / "tidy"
SPDX = "// SPDX-License-Identifier: GPL-2.0-or-later\n"
HEADER = SPDX + "#pragma once\n"


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def run_tidy(self, *files):
        return subprocess.run([sys.executable, TIDY, "--root", self.root, *files], capture_output=True, text=True,
                              check=False)

    def rules(self):
        done = self.run_tidy()
        found = [line.split(": ")[1] for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 1 if found else 0, done.stdout + done.stderr)
        return found

    def header(self, path, body):
        self.write(path, HEADER + body)


class Layers(TidyTest):
    def test_accepts_an_arrow_and_what_it_may_use_in_turn(self):
        self.header("engine/base/types.hpp", "")
        self.header("engine/format/ept.hpp", '#include "engine/base/types.hpp"\n')
        self.header("engine/table/walk.hpp", '#include "engine/format/ept.hpp"\n#include "engine/base/types.hpp"\n')
        self.assertEqual(self.rules(), [])

    def test_refuses_an_arrow_upwards(self):
        self.header("engine/table/walk.hpp", "")
        self.header("engine/format/ept.hpp", '#include "engine/table/walk.hpp"\n')
        self.assertEqual(self.rules(), ["layer"])

    def test_refuses_a_sibling(self):
        self.header("engine/platform/platform.hpp", "")
        self.header("engine/inspect/walk.hpp", '#include "engine/platform/platform.hpp"\n')
        self.assertEqual(self.rules(), ["layer"])

    def test_platform_may_use_the_table_of_points(self):
        self.write("engine/abi/points.h", HEADER)
        self.header("engine/platform/point.hpp", '#include "engine/abi/points.h"\n')
        self.assertEqual(self.rules(), [])

    def test_the_embedded_machine_implements_the_target_and_knows_no_session(self):
        self.header("engine/session/target.hpp", "")
        self.header("engine/session/session.hpp", '#include "engine/session/target.hpp"\n')
        self.header("engine/sim/target.hpp", '#include "engine/session/target.hpp"\n')
        self.assertEqual(self.rules(), [])
        self.header("engine/sim/target.hpp", '#include "engine/session/session.hpp"\n')
        self.assertEqual(self.rules(), ["layer"])

    def test_kernel_c_does_not_see_the_engine(self):
        self.header("engine/morsel/fill.hpp", "")
        self.write("kmod/Kbuild", "morsel-y := main.o engine.o\n")
        self.write("kmod/main.c", SPDX + '#include "engine/morsel/fill.hpp"\n')
        self.write("kmod/engine.cc", SPDX + '#include "engine/morsel/fill.hpp"\n')
        self.assertEqual(self.rules(), ["layer"])

    def test_models_know_no_widgets(self):
        self.header("gui/models/tree.hpp", "#include <QAbstractItemModel>\n")
        self.assertEqual(self.rules(), [])
        self.header("gui/models/tree.hpp", "#include <QTreeView>\n")
        self.assertEqual(self.rules(), ["layer"])

    def test_only_programs_put_window_and_machine_together(self):
        self.header("testvm/host/target.hpp", "")
        self.write("gui/CMakeLists.txt", "# SPDX-License-Identifier: GPL-2.0-or-later\nmain.cpp view.cpp\n")
        self.write("gui/main.cpp", SPDX + '#include "testvm/host/target.hpp"\n')
        self.assertEqual(self.rules(), [])
        self.write("gui/view.cpp", SPDX + '#include "testvm/host/target.hpp"\n')
        self.assertEqual(self.rules(), ["layer"])

    def test_refuses_missing_and_relative_includes(self):
        self.header("engine/base/a.hpp", '#include "engine/base/none.hpp"\n')
        self.assertEqual(self.rules(), ["include"])
        self.header("engine/base/b.hpp", "")
        self.header("engine/base/a.hpp", '#include "b.hpp"\n')
        self.assertEqual(self.rules(), ["include"])


class Freestanding(TidyTest):
    def test_refuses_hosted_headers(self):
        for header, found in (("bit", []), ("vector", ["freestanding"]), ("unistd.h", ["freestanding"])):
            self.header("engine/morsel/a.hpp", f"#include <{header}>\n")
            self.assertEqual(self.rules(), found, header)

    def test_refuses_what_the_kernel_lacks(self):
        for line, found in (
                ("int* f() { return new int; }", 1), ("void f() { throw 1; }", 1), ("thread_local int a;", 1),
                ("struct A { virtual void f(); };", 1), ("struct A { A() = delete; };", 0),
                ('auto a() { return "new throw"; }  // delete', 0)):
            self.header("engine/table/a.hpp", line + "\n")
            self.assertEqual(self.rules(), ["freestanding"] * found, line)

    def test_refuses_globals_that_need_an_initialiser(self):
        for line, found in (("inline int counter = make();", 1), ("static Thing thing;", 1),
                            ("inline constexpr int one = 1;", 0), ("inline constinit int zero = 0;", 0),
                            ("inline int f() { return 1; }", 0), ("static int f(int a);", 0)):
            self.header("engine/base/a.hpp", line + "\n")
            self.assertEqual(self.rules(), ["freestanding"] * found, line)

    def test_refuses_conditional_compilation_in_algorithms(self):
        self.header("engine/morsel/a.hpp", "#ifdef __KERNEL__\n#endif\n")
        self.assertEqual(self.rules(), ["freestanding"])

    def test_leaves_hosted_code_alone(self):
        self.header("engine/sim/a.hpp", "#include <vector>\ninline int* f() { return new int; }\n")
        self.assertEqual(self.rules(), [])


class Sizes(TidyTest):
    def body(self, lines):
        return "".join(f"  use({i});\n" for i in range(lines))

    def test_functions_fit_a_screen(self):
        heads = ("inline void f(int a)\n{\n", "template <class T>\n  requires Good<T>\nT f(T a) {\n",
                 "Foo::Foo(int a) : a_{a}, b_(a)\n{\n", "auto f() -> Expected<int> {\n", "TEST(A, B)\n{\n")
        for head in heads:
            self.header("engine/sim/a.hpp", head + self.body(60) + "}\n")
            self.assertEqual(self.rules(), [], head)
            self.header("engine/sim/a.hpp", head + self.body(70) + "}\n")
            self.assertEqual(self.rules(), ["function-size"], head)

    def test_methods_count_each_and_classes_do_not(self):
        method = " void f()\n {\n" + self.body(40) + " }\n"
        self.header("engine/sim/a.hpp", "namespace a {\nclass A : public B {\n public:\n" + method * 4 + "};\n}\n")
        self.assertEqual(self.rules(), [])

    def test_tables_are_no_functions(self):
        self.header("engine/sim/a.hpp", "constexpr std::array<int, 90> a = {\n" + "  1,\n" * 90 + "};\n")
        self.assertEqual(self.rules(), [])

    def test_braces_in_strings_and_comments_do_not_count(self):
        text = 'inline void f()\n{\n  g("}{");  // }\n  h(R"(}})");\n' + self.body(70) + "}\n"
        self.header("engine/sim/a.hpp", text)
        self.assertEqual(self.rules(), ["function-size"])

    def test_python_functions_count_too(self):
        self.write("scripts/a.py", "# SPDX-License-Identifier: GPL-2.0-or-later\ndef f():\n" + "    g()\n" * 80)
        self.assertEqual(self.rules(), ["function-size"])

    def test_files_have_one_subject(self):
        self.header("engine/sim/a.hpp", "int a;\n" * 498)
        self.assertEqual(self.rules(), [])
        self.header("engine/sim/a.hpp", "int a;\n" * 499)
        self.assertEqual(self.rules(), ["file-size"])


class Text(TidyTest):
    def test_each_fault_is_named(self):
        for line, rule in (("// TO" + "DO: later", "unfinished"), ("\tint a;", "tab"), ("int a; ", "blank"),
                           ("int a;" + " " * 120 + "// far", "columns"), ("// see /wo" + "rk/main", "workplace"),
                           ("void f() { std::this_thread::sleep_for(a); }", "sleep")):
            self.header("engine/sim/a.hpp", line + "\n")
            self.assertEqual(self.rules(), [rule], line)

    def test_a_reasoned_sleep_passes(self):
        self.header("engine/sim/a.hpp", "void f() { sleep(1); }  // tidy: may sleep: the guest's program is to idle\n")
        self.assertEqual(self.rules(), [])

    def test_licence_and_once(self):
        self.write("engine/sim/a.hpp", "#pragma once\n")
        self.assertEqual(self.rules(), ["licence"])
        self.write("engine/sim/a.hpp", SPDX)
        self.assertEqual(self.rules(), ["once"])
        self.write("engine/sim/a.hpp", HEADER.rstrip("\n"))
        self.assertEqual(self.rules(), ["newline"])

    def test_scripts_carry_the_licence_below_the_shebang(self):
        self.write("scripts/a", "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\n")
        self.assertEqual(self.rules(), [])
        self.write("scripts/a", "#!/bin/sh\necho\n")
        self.assertEqual(self.rules(), ["licence"])

    def test_documents_link_to_what_exists(self):
        self.write("docs/a.md", "[b](b.md) [c](https://example.org) [d](#here)\n")
        self.assertEqual(self.rules(), ["link"])
        self.write("docs/b.md", "")
        self.assertEqual(self.rules(), [])

    def test_sources_are_built(self):
        self.write("engine/sim/a.cpp", SPDX)
        self.assertEqual(self.rules(), ["unbuilt"])
        self.write("engine/sim/CMakeLists.txt", "# SPDX-License-Identifier: GPL-2.0-or-later\nadd_library(sim a.cpp)\n")
        self.assertEqual(self.rules(), [])


class Command(TidyTest):
    def test_checks_only_the_files_asked_for(self):
        self.header("engine/sim/a.hpp", "\tint a;\n")
        self.header("engine/sim/b.hpp", "\tint b;\n")
        done = self.run_tidy(self.root / "engine/sim/b.hpp")
        self.assertEqual([line.split(":")[0] for line in done.stdout.splitlines()], ["engine/sim/b.hpp"])

    def test_refuses_a_file_outside(self):
        self.assertEqual(self.run_tidy("/etc/passwd").returncode, 2)


if __name__ == "__main__":
    unittest.main()
