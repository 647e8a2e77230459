//! Tests of the decision whether a run is over.
