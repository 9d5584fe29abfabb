import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { joinedFollowed, ownFollowed, ownRelation, parseTaskId, publicRelation, publicTask, publicTaskId } from '../../../src/gateway/task-ids.ts'

const alias = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/)

describe('task ids', () => {
  it('stays readable where it can', () => {
    expect(publicTaskId('files', '550e8400-e29b')).toBe('files.550e8400-e29b')
    expect(parseTaskId('a.b.550e8400')).toEqual({ alias: 'a.b', own: '550e8400' })
  })
  it('reads back, is safe in a header and differs for different tasks', () => {
    fc.assert(
      fc.property(alias, fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.uuid(), fc.constant('\ud800')), (a, own) => {
        const id = publicTaskId(a, own)
        expect(id).toMatch(/^[A-Za-z0-9._~-]+$/)
        expect(parseTaskId(id)).toEqual({ alias: a, own })
      }),
    )
  })
  it.each([undefined, 7, '', 'files', '.x', 'files.a b', 'files.~', 'files.~!!!!', 'files.~YQ=='])('%j is none of ours', id => {
    const route = parseTaskId(id)
    expect(route === undefined || publicTaskId(route.alias, route.own) === id).toBe(true)
    if (id !== 'files.~') expect(route).toBeUndefined()
  })
})

describe('tasks in messages', () => {
  const related = 'io.modelcontextprotocol/related-task'

  it('maps the id of a task and keeps the rest', () => {
    const task = { taskId: 't1', status: 'working', vendor: { a: 1 } }
    expect(publicTask('files', task)).toEqual({ ...task, taskId: 'files.t1' })
    expect(task.taskId).toBe('t1')
    const odd = { taskId: 5 }
    expect(publicTask('files', odd)).toBe(odd)
  })
  it('maps the relation both ways', () => {
    const body = { x: 1, _meta: { other: true, [related]: { taskId: 't1', more: 2 } } }
    const shown = publicRelation('files', body)
    expect(shown).toEqual({ x: 1, _meta: { other: true, [related]: { taskId: 'files.t1', more: 2 } } })
    expect(ownRelation('files', shown)).toEqual(body)
  })
  it("leaves another backend's id, and what has none, as it is", () => {
    const foreign = { _meta: { [related]: { taskId: 'db.t1' } } }
    expect(ownRelation('files', foreign)).toEqual(foreign)
    for (const body of [{}, { _meta: {} }, { _meta: 5 }, { _meta: { [related]: {} } }])
      expect(publicRelation('files', body)).toBe(body)
  })
})

describe('tasks that a listener names', () => {
  const extra = { taskIds: ['a.t1', 'b.c.t1', 'b.c.t2', 'nobody', 7], x: 1 }
  it('are told to the server that made them, if the client may hear of them', () => {
    expect(ownFollowed('a', extra, () => true)).toEqual({ taskIds: ['t1'], x: 1 })
    expect(ownFollowed('b.c', extra, id => id !== 'b.c.t1')).toEqual({ taskIds: ['t2'], x: 1 })
    expect(ownFollowed('d', extra, () => true)).toEqual({ x: 1 })
    expect(ownFollowed('d', { taskIds: ['a.t1'] }, () => true)).toBeUndefined()
    expect(ownFollowed('a', undefined, () => true)).toBeUndefined()
  })
  it('are granted under the ids they have here, with whatever else is', () => {
    expect(joinedFollowed([['a', { taskIds: ['t1'], x: 1 }], ['b.c', undefined], ['b.c', { taskIds: ['t1'], y: 2 }]])).toEqual({ taskIds: ['a.t1', 'b.c.t1'], x: 1, y: 2 })
    expect(joinedFollowed([['a', undefined]])).toBeUndefined()
  })
})
