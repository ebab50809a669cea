// Decides who is let in: by a file of tokens, by an identity provider's keys, or everybody.
import { existsSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { RingfenceError } from '../errors.js'
import { readTextOf } from '../files/whole-files.js'
import type { AccessDecision, AccessRequest } from '../net/access/gate.node.js'
import { Jwks, type JwksSource } from './jwks.js'
import { Accounts } from './limits.js'
import { type Bearer, TokenFile } from './token-file.js'

export interface DoorkeeperOptions {
  /** Path of a file of tokens. */
  tokens?: string
  jwks?: JwksSource
  /** Path of a file of those who are not let in any more, a percent-encoded name on each line; `ban` adds to it. */
  banned?: string
  accounts?: Accounts
}

export class Doorkeeper {
  #tokens: TokenFile | undefined
  #jwks: Jwks | undefined
  #banned = new Set<string>()
  #bannedIn: string | undefined
  readonly #accounts: Accounts

  private constructor(accounts = new Accounts()) {
    this.#accounts = accounts
  }

  /** @throws RingfenceError BAD_FILE, BAD_INPUT, INSECURE */
  static async create(options: DoorkeeperOptions): Promise<Doorkeeper> {
    const doorkeeper = new Doorkeeper(options.accounts)
    await doorkeeper.reread(options)
    return doorkeeper
  }

  /** Nobody has to show anything. */
  get open(): boolean {
    return !this.#tokens && !this.#jwks
  }

  /** Reads files, these or again; when one is wrong all stays as it was. @throws RingfenceError as `create` */
  async reread({ tokens, jwks, banned }: DoorkeeperOptions): Promise<void> {
    const read =
      tokens === undefined ? undefined : TokenFile.parse(await readTextOf('a file of tokens', tokens), tokens)
    const keys = jwks && (await Jwks.open(jwks))
    const names = banned !== undefined && existsSync(banned) ? await readTextOf('a file of names', banned) : ''
    this.#bannedIn = banned
    this.#banned = namesIn(names, banned)
    this.#jwks = keys
    this.#tokens = read
  }

  readonly authorize = async ({ token, role }: AccessRequest): Promise<AccessDecision> => {
    if (this.open) return { principal: undefined }
    const bearer = token === undefined ? undefined : await this.#find(token)
    if (!bearer) return { refused: 'unauthorized' }
    if (this.#banned.has(bearer.name)) return { refused: 'forbidden' }
    if (role === 'server' && bearer.role !== 'server') return { refused: 'forbidden' }
    return { principal: this.#accounts.principal(bearer.name, bearer.limits) }
  }

  /** Lets nobody of that name in from now on, here and wherever its file is read. @throws what writing the file throws */
  async ban(name: string): Promise<void> {
    this.#banned.add(name)
    const file = this.#bannedIn
    if (file === undefined) return
    // Added, not written anew: names that others wrote there meanwhile stay.
    const text = existsSync(file) ? await readTextOf('a file of names', file) : ''
    const gap = text === '' || text.endsWith('\n') ? '' : '\n'
    await appendFile(file, `${gap}${encodeURIComponent(name)}\n`)
  }

  async #find(token: string): Promise<Bearer | undefined> {
    return this.#tokens?.find(token) ?? (await this.#jwks?.find(token))
  }
}

/** Percent-encoded, so that no name can bring others with it. @throws RingfenceError BAD_FILE */
function namesIn(text: string, file = ''): Set<string> {
  const lines = text.split('\n').map((line) => line.trim())
  try {
    return new Set(lines.filter((line) => line !== '').map((line) => decodeURIComponent(line)))
  } catch {
    throw new RingfenceError('BAD_FILE', `${file}: expected a percent-encoded name on each line`)
  }
}
