/**
 * What QUIC's own handshake asks for (RFC 9001): a certificate and its key, the same in every copy
 * of the program and so no secret. They keep nothing safe and prove nobody's identity; that is the
 * session's, inside (protocol/README.md, sections 3 and 12). P-256, self-signed, for the name
 * "p2p", good from 2000 to 2126, so that clocks that are wrong do no harm.
 */

/** The name in the certificate. */
export const CERTIFICATE_NAME = "p2p";

export const CERTIFICATE = `\
-----BEGIN CERTIFICATE-----
MIIBSzCB8qADAgECAgEBMAoGCCqGSM49BAMCMA4xDDAKBgNVBAMMA3AycDAgFw0w
MDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowDjEMMAoGA1UEAwwDcDJwMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1iP6KrFP25BhZI2/OHMcBODLETs45wIQ
oulLYsTOOViLDf2RfANdKL/2XzdMstBwkBaE35yb2PakXruXVHfIYaM/MD0wDgYD
VR0RBAcwBYIDcDJwMAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFKBdUdKidA1XXCK2
/h849EJ+9DEoMAoGCCqGSM49BAMCA0gAMEUCIQDShuw4dz0nhuV3FpTSP46SMfFh
u/a8QJx//BVgRYRzfwIgN5t8clCcAfymuWKyR7L1y+tCsU9681THwyltwLarBUs=
-----END CERTIFICATE-----
`;

export const CERTIFICATE_KEY = `\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg45TKkvxV+U9wD6DV
ylbd9JauVZLcCgMbffS41zqRFE2hRANCAATWI/oqsU/bkGFkjb84cxwE4MsROzjn
AhCi6UtixM45WIsN/ZF8A10ov/ZfN0yy0HCQFoTfnJvY9qReu5dUd8hh
-----END PRIVATE KEY-----
`;
