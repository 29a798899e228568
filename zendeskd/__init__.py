"""zendeskd: keeps a local, queryable copy of many organisations' Zendesk tickets."""

__version__ = "1.0.0"
API_VERSION = 1
