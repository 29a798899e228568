"""Numbered changes of the schema, applied in order, each in one transaction and each recorded by name.

A migration never changes once it was released: old databases went through it as it was. It holds its own frozen copy
of what it creates, independent of `store/tables.py`.
"""
