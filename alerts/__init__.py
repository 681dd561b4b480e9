"""Alerts, recording rules, inhibition: written here once, generated in the forms that each program reads."""
