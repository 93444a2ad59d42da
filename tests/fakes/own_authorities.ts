/** Takes away what would have the tests' process believe other authorities than Deno's own. */
for (
  const name of [
    "DENO_CERT",
    "NODE_EXTRA_CA_CERTS",
    "DENO_NODE_USE_OPENSSL_CA",
    "DENO_TLS_CA_STORE",
  ]
) Deno.env.delete(name);
