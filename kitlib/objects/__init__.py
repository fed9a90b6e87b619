"""Plain data rules: metadata, selectors, quantities, patches, apply, schemas.  No I/O, and no other package of ours."""
