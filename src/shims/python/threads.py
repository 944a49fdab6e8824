# ---- whose a thread is -------------------------------------------------------------------------------------------

RUNNING = contextvars.ContextVar("supervisor_job", default=None)  # what a thread or task works for, if that was told


def give_jobs_to_threads(current):
    """A thread that a job starts belongs to it: what it prints, and what it asks supervisor for. So does what it gives to a
    pool of threads. `current` tells what runs here."""
    begin = threading.Thread.start

    def start(thread):
        give_jobs_to_pools(current)
        job = current()
        if job is not None:
            _bind(thread, job)
        begin(thread)

    start.__doc__ = begin.__doc__
    threading.Thread.start = start


def _bind(thread, job):
    given = getattr(thread, "_context", None)  # from Python 3.14 on: Thread(context=...)
    context = contextvars.Context() if given is None else given
    context.run(RUNNING.set, job)
    if given is None and not getattr(sys.flags, "thread_inherit_context", False):
        thread.run = late("functools").partial(context.run, thread.run)  # no frame of ours is seen in a traceback
    hook = getattr(thread, "_invoke_excepthook", None)  # what it died of is told when `run` is over
    if hook is not None:
        thread._invoke_excepthook = late("functools").partial(context.run, hook)


def give_jobs_to_pools(current):
    """Threads of a ThreadPoolExecutor, asyncio's too, last longer than a job: each call belongs to the job that gave it.
    Its module is not imported for that: a pool that comes later starts a thread first."""
    pools = sys.modules.get("concurrent.futures.thread")
    item = getattr(pools, "_WorkItem", None)
    if item is None or item.__module__ == __name__:
        return

    class JobItem(item):
        def __init__(self, *what):
            super().__init__(*what)
            self.job = current()

        def run(self, *how):  # around the future's callbacks too
            RUNNING.set(self.job)
            super().run(*how)
            RUNNING.set(None)

    pools._WorkItem = JobItem


