//! YAML to a validated DAG; errors with file, line and column.
