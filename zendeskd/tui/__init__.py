"""`zendeskd-tui`: the dashboard. A client of the control socket and nothing else; the only part that knows Textual."""
