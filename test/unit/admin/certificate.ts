/**
 * A self-signed certificate (CN=shop.test, O=Shop; DNS names shop.test and *.shop.test; until October 2126), and a key
 * that is made here: no test needs the two to belong together.
 */
import { generateKeyPairSync } from 'node:crypto'

export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBwDCCAWagAwIBAgIUQtH1tnvp8Ui2WCQ+cf66KCUlzHQwCgYIKoZIzj0EAwIw
IzESMBAGA1UEAwwJc2hvcC50ZXN0MQ0wCwYDVQQKDARTaG9wMCAXDTI2MTEyMjEz
MjMzN1oYDzIxMjYxMDI5MTMyMzM3WjAjMRIwEAYDVQQDDAlzaG9wLnRlc3QxDTAL
BgNVBAoMBFNob3AwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQG9aNVkEBiajh+
XKIHuuRVbYFRLEm2Y+kWm7PfTvTx7QLcK4Cb/cq5AiLIKEfpIhSrrpg6eelHHmIY
tUrX6wMbo3YwdDAdBgNVHQ4EFgQU0YYbUrWmfc+N3C6mixjuYqp3D6EwHwYDVR0j
BBgwFoAU0YYbUrWmfc+N3C6mixjuYqp3D6EwDwYDVR0TAQH/BAUwAwEB/zAhBgNV
HREEGjAYgglzaG9wLnRlc3SCCyouc2hvcC50ZXN0MAoGCCqGSM49BAMCA0gAMEUC
IQCStvtnJ5FI8a6dMDdYZIsfW8KFgN2NyW9yo7o3xHm2vgIgVqW4LPs3Z8kS2NG4
3BqeEZTQGPzI6rxd/d/Pg2EwTQs=
-----END CERTIFICATE-----
`

export const PRIVATE_KEY = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey
