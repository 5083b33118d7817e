"""Checking: scores of forecasts, laws compared, backtests, calibration, and forecasts frozen until a run is done."""
