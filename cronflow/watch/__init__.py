"""SEES files arrive. `folders` scans, `debounce` decides which files are new and quiet, `filewatches` has both done in time."""
