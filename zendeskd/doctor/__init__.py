"""`zendeskd doctor`: what it examines, what it finds, and how it says so. Changes nothing."""
