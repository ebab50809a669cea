// The file of those who may connect: a name, the SHA-256 of a token and limits on each line. The tokens themselves are
// nowhere but with those who hold them.
import { createHash, timingSafeEqual } from 'node:crypto'
import { throwIfAny } from '../errors.js'
import type { PeerRole } from '../net/index.js'
import { LIMIT_NAMES, type Limits } from './limits.js'

export interface Bearer {
  name: string
  /** `server`: may also be a client, as a server tries its own model out. */
  role: PeerRole
  limits: Limits
}

interface Entry extends Bearer {
  hash: Buffer
}

/** As flags are written: `inferences-per-minute`. */
const KEYS = new Map(
  LIMIT_NAMES.map((name) => [name.replace(/[A-Z]+/g, (capital) => `-${capital.toLowerCase()}`), name]),
)
const EXPECTED = `role=client, role=server or a limit (${[...KEYS.keys()].join('=N, ')}=N)`

export class TokenFile {
  private constructor(private readonly entries: readonly Entry[]) {}

  /**
   * @param file its name, for messages
   * @throws RingfenceError BAD_FILE with every line that is wrong, none of which is shown
   */
  static parse(text: string, file: string): TokenFile {
    const problems: string[] = []
    const entries: Entry[] = []
    const names = new Set<string>()
    for (const [at, line] of text.split('\n').entries()) {
      const [name, hash, ...rest] = line
        .replace(/(^|\s)#.*$/, '')
        .trim()
        .split(/\s+/)
      if (!name) continue
      const fault = (what: string) => problems.push(`line ${at + 1}: ${what}`)
      if (!/^[\w.@:-]{1,64}$/.test(name)) fault('a name has up to 64 letters, digits and . _ - @ :')
      else if (names.has(name)) fault(`${name} stands on an earlier line`)
      names.add(name)
      if (!/^[0-9a-f]{64}$/i.test(hash ?? '')) fault('after the name: the SHA-256 of the token, 64 hexadecimal digits')
      const entry: Entry = { name, role: 'client', limits: {}, hash: Buffer.from(hash ?? '', 'hex') }
      for (const word of rest) if (!setting(entry, word)) fault(`expected ${EXPECTED}`)
      entries.push(entry)
    }
    if (entries.length === 0) problems.push('expected a line NAME SHA256 for everybody who may connect')
    throwIfAny('BAD_FILE', `${file}: this file of tokens cannot be used`, problems)
    return new TokenFile(entries)
  }

  /** Who holds a token. Every line is compared, each in constant time. */
  find(token: string): Bearer | undefined {
    const hash = createHash('sha256').update(token).digest()
    let found: Entry | undefined
    for (const entry of this.entries) if (timingSafeEqual(entry.hash, hash)) found = entry
    return found
  }
}

function setting(entry: Entry, word: string): boolean {
  const [key, value = ''] = word.split('=')
  if (key === 'role' && (value === 'client' || value === 'server')) {
    entry.role = value
    return true
  }
  const limit = KEYS.get(key)
  if (limit === undefined || !/^\d{1,12}$/.test(value)) return false
  entry.limits[limit] = Number(value)
  return true
}
