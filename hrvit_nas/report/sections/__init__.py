"""Sections of reports: pure functions from results to data, each section made here alone."""
