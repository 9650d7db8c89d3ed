"""Draws the importance of genes of a search again, from the trials in its directory.

python analysis/importance.py RUN_DIR [--output FILE]
"""

from hrvit_nas.report import draw_importance
from hrvit_nas.report.importance import importance_data
from hrvit_nas.report.script import draw_from_run

if __name__ == "__main__":
    draw_from_run("importance", "importance of genes", importance_data, draw_importance)
