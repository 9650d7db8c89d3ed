"""Variable elimination against plain enumeration."""

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from hrvit_nas.space import counting
from hrvit_nas.space.counting import Problem, TooCoupledError


@st.composite
def problems(draw):
    """A problem of up to six variables, and its tables as plain sets."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    problem = Problem()
    for size in sizes:
        problem.add_variable(range(size))
    tables = []
    for _ in range(draw(st.integers(0, 5))):
        scope = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=3, unique=True))
        rows = list(product(*(range(sizes[v]) for v in scope)))
        allowed = {row for row in rows if draw(st.integers(0, 3))}
        problem.require(scope, lambda *row, allowed=allowed: row in allowed)
        tables.append((scope, allowed))
    solutions = [
        row
        for row in product(*(range(size) for size in sizes))
        if all(tuple(row[v] for v in scope) in allowed for scope, allowed in tables)
    ]
    return problem, solutions


@given(problems(), st.integers(0, 2**32))
def test_count_and_draws_are_those_of_enumeration(case, seed):
    problem, solutions = case
    solution = problem.solve()
    assert solution.count == len(solutions)
    if solutions:
        rng = random.Random(seed)
        drawn = solution.draw(rng, [0] * len(problem.domains))
        assert tuple(drawn) in solutions
        wished = rng.choice(solutions)
        wishes = {v: (code,) for v, code in enumerate(wished)}
        assert tuple(solution.draw(rng, drawn, wishes)) == wished


@given(problems(), st.data())
def test_solving_for_some_variables_keeps_the_others(case, data):
    problem, solutions = case
    if not solutions:
        return
    state = data.draw(st.sampled_from(solutions))
    free = data.draw(st.sets(st.integers(0, len(state) - 1), min_size=1))
    fixed = [v for v in range(len(state)) if v not in free]
    alike = [row for row in solutions if all(row[v] == state[v] for v in fixed)]
    solution = problem.solve(sorted(free), state)
    assert solution.count == len(alike)
    assert tuple(solution.draw(random.Random(0), state)) in alike
    variable = min(free)
    smaller = (state[variable],)
    count = problem.solve(sorted(free), state, {variable: smaller}).count
    assert count == sum(row[variable] == state[variable] for row in alike)


def test_draws_are_uniform():
    problem = Problem()
    for _ in range(4):
        problem.add_variable(range(3))
    for low in range(3):
        problem.require((low, low + 1), lambda a, b: a <= b)
    solution = problem.solve()
    rng = random.Random(5)
    counts = Counter(tuple(solution.draw(rng, [0] * 4)) for _ in range(6000))
    assert len(counts) == solution.count == 15
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_a_table_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(counting, "MAX_ROWS", 100)
    problem = Problem()
    for _ in range(5):
        problem.add_variable(range(3))
    with pytest.raises(TooCoupledError, match="243 combinations to list; at most 100"):
        problem.require(range(5), lambda *row: len(set(row)) > 1)
