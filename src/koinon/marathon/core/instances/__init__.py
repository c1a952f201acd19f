"""Instances: their life, their end, and how they are asked whether they are well."""
