// Signed tokens (RFC 7519) of an identity provider, checked against its published keys (RFC 7517).
import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'
import { RingfenceError } from '../errors.js'
import { readTextOf } from '../files/whole-files.js'
import { isLoopback } from '../net/loopback.js'
import { LIMIT_NAMES } from './limits.js'
import type { Bearer } from './token-file.js'

/** Signatures only a holder of the provider's secret key can make; never a shared secret, never `none`. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

export interface JwksSource {
  /** A file's path or an https URL (http on this machine). */
  keys: string
  /** The `aud` that a token has to name: one that was issued for another service is none for this one. */
  audience: string
  /** The `iss` that a token has to name. Default: any whose keys these are. */
  issuer?: string
}

/** What the claim `ringfence` of a token lets its holder use; undefined when it says anything else. */
function rightsOf(claim: unknown = {}): Pick<Bearer, 'role' | 'limits'> | undefined {
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return undefined
  const { role = 'client', ...limits } = claim as Record<string, unknown>
  if (role !== 'client' && role !== 'server') return undefined
  const isLimit = ([name, value]: [string, unknown]) =>
    LIMIT_NAMES.some((known) => known === name) && Number.isInteger(value) && (value as number) >= 0
  return Object.entries(limits).every(isLimit) ? { role, limits } : undefined
}

export class Jwks {
  private constructor(
    private readonly source: JwksSource,
    private readonly keys: JWTVerifyGetKey,
  ) {}

  /** @throws RingfenceError BAD_FILE, BAD_INPUT, INSECURE */
  static async open(source: JwksSource): Promise<Jwks> {
    const { createLocalJWKSet, createRemoteJWKSet } = await import('jose')
    if (!/^https?:\/\//.test(source.keys)) return new Jwks(source, createLocalJWKSet(await readKeys(source.keys)))
    const url = new URL(source.keys)
    if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
      throw new RingfenceError(
        'INSECURE',
        `refused ${url.origin}: whoever is on the way could change the keys; use https`,
      )
    }
    return new Jwks(source, createRemoteJWKSet(url))
  }

  /** Who holds a token; undefined when it is none, has expired or is for another service. */
  async find(token: string): Promise<Bearer | undefined> {
    const { jwtVerify, errors } = await import('jose')
    const { audience, issuer } = this.source
    try {
      const options = { audience, issuer, algorithms: ALGORITHMS, requiredClaims: ['sub', 'exp'] }
      const { payload } = await jwtVerify(token, this.keys, options)
      const rights = rightsOf(payload.ringfence)
      return rights && { name: `jwt:${payload.sub!.replace(/[^\w.@:|-]/g, '?').slice(0, 64)}`, ...rights }
    } catch (error) {
      // Keys that cannot be fetched are this side's trouble, not the caller's.
      if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) throw error
      return undefined
    }
  }
}

async function readKeys(file: string): Promise<JSONWebKeySet> {
  const text = await readTextOf('a JSON Web Key Set', file)
  try {
    const keys = JSON.parse(text)
    if (Array.isArray(keys?.keys) && keys.keys.length > 0) return keys
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `${file}: expected a JSON Web Key Set, but it is no JSON`, [], { cause })
  }
  throw new RingfenceError('BAD_FILE', `${file}: expected a JSON Web Key Set, {"keys": [...]} with at least one key`)
}
