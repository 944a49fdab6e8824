"""The Python shim: how it starts, and what it imports."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import main  # noqa: E402
from test_python import PythonTest  # noqa: E402


class Starting(PythonTest):
    def test_failures_are_told_once_and_end_with_1(self):
        self.file("bad_import.py", "import nosuchmodule\n")
        self.file("bad_syntax.py", "def f(:\n  pass\n")
        self.file("leaves.py", "import sys\nsys.exit(0)\n")
        self.file("good.py", "def convert(): pass\n")
        failed = self.failure("bad_import.py")
        self.assertEqual(failed["message"], "ModuleNotFoundError: No module named 'nosuchmodule'")
        self.assertIn('bad_import.py", line 1', failed["traceback"])
        self.assertNotIn("<supervisor>", failed["traceback"])
        self.assertIn("SyntaxError", self.failure("bad_syntax.py")["message"])
        self.assertEqual(self.failure("leaves.py")["message"], "SystemExit: 0")
        self.file("half.py", "raise ValueError('\\udce9')\n")
        self.assertEqual(self.failure("half.py")["message"], "ValueError: \\udce9")
        self.file("pkg/__init__.py", "")
        wanted = " is a directory; a file is wanted, as in ./pkg/tasks.py, or the name of a module, as in --python pkg"
        for place in ("./pkg", "./pkg/"):
            failed = self.failure(place)
            self.assertEqual((failed["message"], failed["traceback"]), (place + wanted, ""))
        self.assertIn("no file nosuch.py", self.failure("nosuch.py:f")["message"])
        self.assertIn("nosuch_package", self.failure("nosuch_package.mod:f")["message"])
        self.assertEqual(self.failure("good.py:covnert")["message"], "no function covnert in good; did you mean convert?")

    def test_a_python_that_is_too_old_is_told_so(self):
        here = os.path.dirname(os.path.abspath(__file__))
        start = os.path.join(here, "..", "..", "src", "shims", "python_start.py")
        old = "import sys; sys.version_info = (3, 6, 1); exec(open(%r).read())" % start
        run = subprocess.run([sys.executable, "-c", old], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        message = json.loads(run.stdout)
        self.assertEqual((run.returncode, run.stderr, message["method"]), (1, b"", "failed"))
        self.assertEqual(message["params"], {"message": "Python 3.8 or newer is needed, and this is 3.6"})

    def test_names_paths_and_arguments_are_what_a_user_expects(self):
        self.file("sub/tasks.py", "import helper, sys, os\ndef f(): return [__name__, __file__, sys.argv, sys.path[0], helper.x, os.getcwd()]\n")
        self.file("sub/helper.py", "x = 5\n")
        self.file("pkg/__init__.py", "")
        self.file("pkg/mod.py", "import sys\nfrom . import other\ndef f(): return [__name__, sys.path[0], other.y, len(sys.argv)]\n")
        self.file("pkg/other.py", "y = 6\n")
        self.file("json.py", "def f(): return 'not the library'\n")
        here = os.path.realpath(self.dir)
        w = self.start_spec("sub/tasks.py:f")
        sub = os.path.join(here, "sub")
        self.assertEqual(w.result("f"), ["tasks", os.path.join(self.dir, "sub", "tasks.py"), ["sub/tasks.py"], sub, 5, here])
        os.remove(os.path.join(self.dir, "json.py"))
        w = self.start_spec("pkg.mod:f")
        self.assertEqual(w.result("f"), ["pkg.mod", here, 6, 1])
        self.file("signal.py", "def f(): return __name__\n")
        self.assertEqual(self.start_spec("signal.py:f").result("f"), "user_signal")
        os.remove(os.path.join(self.dir, "signal.py"))

    def test_what_is_imported_late_is_the_librarys_and_never_the_users(self):
        for name in ("json", "traceback", "tokenize", "enum"):
            self.file(name + ".py", "raise RuntimeError('not the library')\n")
            w = self.start("def f(x): return 1 / x")
            self.assertIn("division", w.error("f", 0)["message"])
            self.assertIn("return 1 / x", w.error("f", 0)["data"]["traceback"])
            w.write(b' {"jsonrpc":"2.0","id":7,"method":"f","params":[1] } \n')
            self.assertEqual(w.answer(7)["result"], 1)
            os.remove(os.path.join(self.dir, name + ".py"))

    def test_no_file_of_the_users_is_taken_for_one_of_the_library(self):
        code = "import sys; print(*sys.modules, *sys.builtin_module_names)"
        there = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout.split()
        home = os.path.dirname(os.__file__)
        folders = [home, os.path.join(home, "lib-dynload")]
        names = {entry.partition(".")[0] for folder in folders if os.path.isdir(folder) for entry in os.listdir(folder)}
        for name in names - set(there):
            if name.isidentifier() and not name.startswith("__") and name not in ("sitecustomize", "usercustomize"):
                self.file(name + ".py", "raise RuntimeError('%s is not of the library')\n" % name)
        text = """
            from supervisor import Event, Queue
            def broken(x): return (x + 1) / x
            async def abroken(x): return (x + 1) / x
            async def aplain(x): return x
            async def waits(): await Event("e").wait_async()
            def data(): return [b"x"]
            def empty(): return Queue("q").get(block=False)
            def thread():
                import threading
                one = threading.Thread(target=print, args=["in a thread"])
                one.start()
                one.join()
            """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            self.assertEqual(w.result("data"), [{"base64": "eA=="}])
            for name in ("broken", "abroken"):
                self.assertIn("return (x + 1) / x", w.error(name, 0)["data"]["traceback"])
            self.assertEqual(w.result("aplain", 5), 5)
            self.assertEqual(w.error("aplain", 1, 2)["message"][:9], "aplain(x)")
            self.assertIn("did you mean broken?", w.error("borken")["message"])
            self.assertEqual(self.printed(w.call("thread")[1]), "in a thread\n")
            w.write(b' {"jsonrpc":"2.0","id":77,"method":"aplain","params":[1] } \n')
            self.assertEqual(w.answer(77)["result"], 1)
            w.send(w.request("waits", id=78))
            self.assertEqual(w.receive()["method"], "event.wait")
            w.cancel(78)
            self.assertEqual(w.answer(78)["error"]["code"], -32800)
            w.send(w.request("empty", id=79))
            w.send({"jsonrpc": "2.0", "id": w.receive()["id"], "result": {"ok": False}})
            self.assertEqual(w.answer(79)["error"]["data"]["type"], "Empty")
            self.assertEqual((w.finish(), w.err), ((0, []), b""))

    def test_a_file_with_a_name_of_the_librarys_is_what_its_neighbour_imports(self):
        for name in ("token", "inspect", "json", "base64", "queue"):
            self.file(name + ".py", "SECRET = 'abc'\n")
            for concurrency in (1, 2):
                w = self.start("def f(x):\n  from %s import SECRET\n  return SECRET, b'x'\n" % name, concurrency=concurrency)
                self.assertEqual(w.result("f", 1), ["abc", {"base64": "eA=="}])
                w.send(w.request("f"))
                self.assertEqual(w.receive()["error"]["code"], -32602)
            os.remove(os.path.join(self.dir, name + ".py"))
        os.mkdir(os.path.join(self.dir, "logging"))  # no package: the library's is what everybody imports
        w = self.start("import logging\nasync def f(): return logging.getLogger('a').name\n")
        self.assertEqual(w.result("f"), "a")

    def test_an_error_that_nobody_should_see_ends_the_worker_where_all_can_see_it(self):
        text = """
            class Odd:
                def __call__(self): return 1
                armed = False
                @property
                def __class__(self):
                    if self.armed: raise RuntimeError("no class of mine")
                    return Odd
            odd = Odd()
            def arm(): Odd.armed = True
            """
        w = self.start(text, "odd", concurrency=2)
        w.call("arm")
        w.send(w.request("odd"))
        self.assertEqual(w.finish(), (1, []))
        self.assertIn(b"RuntimeError: no class of mine", w.err + w.process.stderr.read())

    def test_what_is_long_to_import_is_not_imported_for_a_plain_job(self):
        bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], stdout=subprocess.PIPE, text=True)
        w = self.start("import sys\ndef f(*_): return [1, 0.5, None, 'text', list(sys.modules)]")
        *plain, modules = w.result("f", {"a": [1, None]})
        self.assertEqual(plain, [1, 0.5, None, "text"])
        late = {"json", "re", "enum", "signal", "traceback", "importlib.util"} - set(bare.stdout.split())
        self.assertEqual(late & set(modules), set())


if __name__ == "__main__":
    main()
