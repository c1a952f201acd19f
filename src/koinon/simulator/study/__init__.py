"""Studies: what would happen to this work on that cluster?

    text ──document──▶ values ──reading──▶ Study ──cluster──▶ measures ──report──▶ figures, CSV, plots

document     YAML and JSON, changes of them, problems    cluster      master, clock, and everybody
reading      checks all of a file; tables, units         agents       run tasks, fail
traces       CSV files of tasks                          frameworks   take offers; waiting: who goes where
description  what a study is                             arrivals     when tasks come, how long they run
clock        ticks, timers, messages                     measures     what is counted meanwhile
report       figures; files: CSV; plots                  units        times, sizes, rates
"""
