// A client's kept material, in memory.
import type { MaterialStore, StoredMaterial } from '../../src/party/client/client-store.js'

export class MemoryStore implements MaterialStore {
  readonly entries = new Map<string, StoredMaterial>()

  async list(): Promise<StoredMaterial[]> {
    return [...this.entries.values()].map((entry) => structuredClone(entry))
  }

  async put(entry: StoredMaterial): Promise<void> {
    this.entries.set(entry.id, structuredClone(entry))
  }

  async take(id: string): Promise<StoredMaterial | undefined> {
    const entry = this.entries.get(id)
    this.entries.delete(id)
    return entry
  }
}
