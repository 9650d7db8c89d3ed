"""Draws the allocation over branches of a search again, from the trials in its directory.

python analysis/allocation.py RUN_DIR [--output FILE]
"""

from hrvit_nas.report import draw_allocation
from hrvit_nas.report.allocation import allocation_data
from hrvit_nas.report.script import draw_from_run

if __name__ == "__main__":
    draw_from_run("allocation", "allocation over branches", allocation_data, draw_allocation)
