"""The functions that supervisor and the pools of Python call: the same file for all."""

import time


def inc(x):
    return x + 1


def echo(text):
    return text


def nap(seconds):
    time.sleep(seconds)
    return 0
