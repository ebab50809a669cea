// Decides who is let in: by a file of tokens, by an identity provider's keys, or everybody.
import { readTextOf } from '../files/whole-files.js'
import type { AccessDecision, AccessRequest } from '../net/access/gate.node.js'
import { Jwks, type JwksSource } from './jwks.js'
import { Accounts } from './limits.js'
import { type Bearer, TokenFile } from './token-file.js'

export interface DoorkeeperOptions {
  /** Path of a file of tokens. */
  tokens?: string
  jwks?: JwksSource
  accounts?: Accounts
}

export class Doorkeeper {
  #tokens: TokenFile | undefined
  #jwks: Jwks | undefined
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
  async reread({ tokens, jwks }: DoorkeeperOptions): Promise<void> {
    const read =
      tokens === undefined ? undefined : TokenFile.parse(await readTextOf('a file of tokens', tokens), tokens)
    const keys = jwks && (await Jwks.open(jwks))
    this.#jwks = keys
    this.#tokens = read
  }

  readonly authorize = async ({ token, role }: AccessRequest): Promise<AccessDecision> => {
    if (this.open) return { principal: undefined }
    const bearer = token === undefined ? undefined : await this.#find(token)
    if (!bearer) return { refused: 'unauthorized' }
    if (role === 'server' && bearer.role !== 'server') return { refused: 'forbidden' }
    return { principal: this.#accounts.principal(bearer.name, bearer.limits) }
  }

  async #find(token: string): Promise<Bearer | undefined> {
    return this.#tokens?.find(token) ?? (await this.#jwks?.find(token))
  }
}
