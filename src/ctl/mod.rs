//! The client: one file for each verb, renderers apart.
