//! Scripted tests of the core.
