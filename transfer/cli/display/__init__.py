"""What commands print: progress, tables, reports and JSON."""
