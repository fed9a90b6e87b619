"""Who is asking (authn), may they (rbac), and the tokens that ServiceAccounts prove themselves with."""
