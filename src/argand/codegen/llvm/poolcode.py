"""The fork-join thread pool and the scratch memory, as LLVM IR text.

A *job* is a function called once for each chunk. The caller publishes it, opens it to the workers
(`@participants`: the number of workers in the job, and a bit that says closed), advances
`@generation`, the futex that workers wait on, and takes chunks itself. A worker that comes in time
joins; when the chunks have run out the caller closes the job and waits only for those that joined,
so it never waits for a worker that sleeps. Each participant has a contiguous share of the chunks,
the same each call, and steals from the others when its own is done.

A caller that finds the pool taken - a nested region, another Python thread - runs its chunks alone.
"""

from __future__ import annotations

from typing import Final

MOST_THREADS: Final = 256
_CLOSED: Final = 1 << 32
_SPINS_BEFORE_YIELD: Final = 4000
"""Loads of `@generation` before a worker yields its core between two of them: 0.1 ms."""
_SPINS_BEFORE_SLEEP: Final = 10_000
"""Loads before it sleeps, about 5 ms in all. A worker that sleeps is often woken on the caller's
core and stays there; one that spins gets a core of its own from the system."""
_WORTH_NANOSECONDS: Final = 20_000
_SCRATCH_SLOTS: Final = 4
_SCRATCH_LEAST: Final = 1 << 16

EXPORTED: Final = (
    "argand_parallel",
    "argand_scratch_take",
    "argand_scratch_give",
    "argand_worker",
    "argand_set_active",
    "argand_reset",
)

_TEXT: Final = """
@lock = internal global i32 0, align 64
@participants = internal global i64 {closed}, align 64
@generation = internal global i32 0, align 64
@waiters = internal global i32 0, align 64
@active = internal global i64 1, align 64
@config = internal global i32 0, align 64
@job = internal global [4 x i64] zeroinitializer, align 64
@shares = internal global [{most} x [8 x i64]] zeroinitializer, align 64
@cached = internal global [{most} x [{slots} x ptr]] zeroinitializer, align 64

declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare void @abort()
{pause_declaration}

; FUTEX_WAIT and FUTEX_WAKE, private to the process
define internal void @sleep(ptr %at, i32 %seen) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr %at, i32 128, i32 %seen, i64 0, i64 0, i64 0)
  ret void
}}

define internal void @wake(ptr %at) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr %at, i32 129, i32 {most}, i64 0, i64 0, i64 0)
  ret void
}}

define internal void @serial(ptr %fn, ptr %ctx, i64 %n) nounwind {{
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %body, label %done
body:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  call void %fn(ptr %ctx, i64 %i, i64 0)
  %next = add nsw i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %body, label %done
done:
  ret void
}}

; take chunks of one's own share, then of the others', until none is left
define internal void @participate(i64 %worker) nounwind {{
entry:
  %fn = load ptr, ptr @job
  %ctx.at = getelementptr i64, ptr @job, i64 1
  %ctx = load ptr, ptr %ctx.at
  %count.at = getelementptr i64, ptr @job, i64 2
  %count = load i64, ptr %count.at
  br label %share
share:
  %whose = phi i64 [ %worker, %entry ], [ %whose.next, %spent ]
  %visited = phi i64 [ 0, %entry ], [ %visited.next, %spent ]
  %at = getelementptr [8 x i64], ptr @shares, i64 %whose
  %end.at = getelementptr i64, ptr %at, i64 1
  %end = load i64, ptr %end.at
  br label %take
take:
  %seen = load atomic i64, ptr %at monotonic, align 64
  %left = icmp slt i64 %seen, %end
  br i1 %left, label %claim, label %spent
claim:
  %chunk = atomicrmw add ptr %at, i64 1 acq_rel
  %mine = icmp slt i64 %chunk, %end
  br i1 %mine, label %run, label %spent
run:
  call void %fn(ptr %ctx, i64 %chunk, i64 %worker)
  br label %take
spent:
  %after = add i64 %whose, 1
  %wraps = icmp sge i64 %after, %count
  %whose.next = select i1 %wraps, i64 0, i64 %after
  %visited.next = add i64 %visited, 1
  %again = icmp slt i64 %visited.next, %count
  br i1 %again, label %share, label %done
done:
  ret void
}}

define void @argand_parallel(ptr %fn, ptr %ctx, i64 %n, i64 %cost) nounwind {{
entry:
  %threads = load atomic i64, ptr @active monotonic, align 64
  %alone = icmp sle i64 %threads, 1
  %few = icmp sle i64 %n, 1
  %cheap = icmp slt i64 %cost, {worth}
  %a = or i1 %alone, %few
  %b = or i1 %a, %cheap
  br i1 %b, label %by.itself, label %try
try:
  %held = atomicrmw xchg ptr @lock, i32 1 acquire
  %taken = icmp ne i32 %held, 0
  br i1 %taken, label %by.itself, label %publish
by.itself:
  call void @serial(ptr %fn, ptr %ctx, i64 %n)
  ret void
publish:
  ; read again under the lock: it only changes under it
  %count = load atomic i64, ptr @active monotonic, align 64
  store ptr %fn, ptr @job
  %ctx.at = getelementptr i64, ptr @job, i64 1
  store ptr %ctx, ptr %ctx.at
  %count.at = getelementptr i64, ptr @job, i64 2
  store i64 %count, ptr %count.at
  br label %deal
deal:
  %w = phi i64 [ 0, %publish ], [ %w.next, %deal ]
  %from = phi i64 [ 0, %publish ], [ %to, %deal ]
  %w.next = add i64 %w, 1
  %part = mul i64 %w.next, %n
  %to = udiv i64 %part, %count
  %at = getelementptr [8 x i64], ptr @shares, i64 %w
  %end.at = getelementptr i64, ptr %at, i64 1
  store i64 %from, ptr %at
  store i64 %to, ptr %end.at
  %dealing = icmp slt i64 %w.next, %count
  br i1 %dealing, label %deal, label %open
open:
  store atomic i64 0, ptr @participants release, align 64
  %previous = atomicrmw add ptr @generation, i32 1 seq_cst
  %waiting.workers = load atomic i32, ptr @waiters seq_cst, align 64
  %wake = icmp sgt i32 %waiting.workers, 0
  br i1 %wake, label %call, label %work
call:
  call void @wake(ptr @generation)
  br label %work
work:
  call void @participate(i64 0)
  %inside = atomicrmw or ptr @participants, i64 {closed} acq_rel
  %nobody = icmp eq i64 %inside, 0
  br i1 %nobody, label %finish, label %wait
wait:
  %spins = phi i64 [ 0, %work ], [ %spins.next, %waiting ]
  {pause}
  %still = load atomic i64, ptr @participants acquire, align 64
  %empty = icmp eq i64 %still, {closed}
  br i1 %empty, label %finish, label %longer
longer:
  %spins.next = add i64 %spins, 1
  %long = icmp sgt i64 %spins.next, {spins_before_yield}
  br i1 %long, label %yield, label %waiting
yield:
  %ignored = call i32 @sched_yield()
  br label %waiting
waiting:
  br label %wait
finish:
  store atomic i32 0, ptr @lock release, align 64
  ret void
}}

; a worker waits for a new generation and joins its job while that is open; after long it sleeps
define ptr @argand_worker(ptr %arg) nounwind {{
entry:
  %me = ptrtoint ptr %arg to i64
  br label %idle
idle:
  %last = phi i32 [ 0, %entry ], [ %last, %spin ], [ %generation, %missed ],
                  [ %generation, %leave ], [ %last, %slept ], [ %last, %not.active ]
  %spins = phi i64 [ 0, %entry ], [ %spins.next, %spin ], [ 0, %missed ], [ 0, %leave ],
                   [ 0, %slept ], [ 0, %not.active ]
  %generation = load atomic i32, ptr @generation acquire, align 64
  %new = icmp ne i32 %generation, %last
  br i1 %new, label %new.job, label %nothing
new.job:
  %now = load atomic i32, ptr @config acquire, align 64
  %count = load atomic i64, ptr @active acquire, align 64
  %wanted = icmp slt i64 %me, %count
  br i1 %wanted, label %look, label %not.active
not.active:
  call void @sleep(ptr @config, i32 %now)
  br label %idle
look:
  %participants = load atomic i64, ptr @participants acquire, align 64
  %is.closed = icmp uge i64 %participants, {closed}
  br i1 %is.closed, label %missed, label %enter
missed:
  br label %idle
enter:
  %more = add i64 %participants, 1
  %pair = cmpxchg ptr @participants, i64 %participants, i64 %more acq_rel acquire
  %in = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %in, label %inside, label %look
inside:
  ; the job that was joined is the open one; its own count says who has a share
  %count.at = getelementptr i64, ptr @job, i64 2
  %shares = load i64, ptr %count.at
  %has = icmp slt i64 %me, %shares
  br i1 %has, label %join, label %leave
join:
  call void @participate(i64 %me)
  br label %leave
leave:
  %out = atomicrmw sub ptr @participants, i64 1 acq_rel
  br label %idle
nothing:
  {pause}
  %spins.next = add i64 %spins, 1
  %long = icmp sgt i64 %spins.next, {spins_before_yield}
  br i1 %long, label %yield, label %spin
yield:
  %ignored = call i32 @sched_yield()
  %very.long = icmp sgt i64 %spins.next, {spins_before_sleep}
  br i1 %very.long, label %sleep, label %spin
spin:
  br label %idle
sleep:
  %s = atomicrmw add ptr @waiters, i32 1 seq_cst
  call void @sleep(ptr @generation, i32 %generation)
  %t = atomicrmw sub ptr @waiters, i32 1 seq_cst
  br label %slept
slept:
  br label %idle
}}

; the number of threads that share a job; waits until no job runs
define void @argand_set_active(i64 %count) nounwind {{
entry:
  br label %try
try:
  %held = atomicrmw xchg ptr @lock, i32 1 acquire
  %taken = icmp ne i32 %held, 0
  br i1 %taken, label %wait, label %set
wait:
  %ignored = call i32 @sched_yield()
  br label %try
set:
  store atomic i64 %count, ptr @active release, align 64
  %c = atomicrmw add ptr @config, i32 1 seq_cst
  call void @wake(ptr @config)
  store atomic i32 0, ptr @lock release, align 64
  ret void
}}

; as new, in a child that a fork left without workers
define void @argand_reset() nounwind {{
  store i64 1, ptr @active
  store i32 0, ptr @waiters
  store i64 {closed}, ptr @participants
  store atomic i32 0, ptr @lock release, align 64
  ret void
}}

; scratch memory: each worker caches a few blocks; a block's size is stored 64 bytes before it
define ptr @argand_scratch_take(i64 %size, i64 %worker) nounwind {{
entry:
  %who = urem i64 %worker, {most}
  %row = getelementptr [{slots} x ptr], ptr @cached, i64 %who
  br label %look
look:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %at = getelementptr ptr, ptr %row, i64 %k
  %block = atomicrmw xchg ptr %at, ptr null acq_rel
  %none = icmp eq ptr %block, null
  br i1 %none, label %next, label %check
check:
  %head = getelementptr i8, ptr %block, i64 -64
  %room = load i64, ptr %head
  %fits = icmp uge i64 %room, %size
  br i1 %fits, label %found, label %back
found:
  ret ptr %block
back:
  %put = atomicrmw xchg ptr %at, ptr %block acq_rel
  %was = icmp eq ptr %put, null
  br i1 %was, label %next, label %drop
drop:
  %put.head = getelementptr i8, ptr %put, i64 -64
  call void @free(ptr %put.head)
  br label %next
next:
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, {slots}
  br i1 %more, label %look, label %make
make:
  %small = icmp ult i64 %size, {least}
  %want = select i1 %small, i64 {least}, i64 %size
  %less = sub i64 %want, 1
  %zeros = call i64 @llvm.ctlz.i64(i64 %less, i1 false)
  %bits = sub i64 64, %zeros
  %whole = shl i64 1, %bits
  %total = add i64 %whole, 64
  %fresh = call ptr @aligned_alloc(i64 64, i64 %total)
  %failed = icmp eq ptr %fresh, null
  br i1 %failed, label %out.of.memory, label %made
out.of.memory:
  call void @abort()
  unreachable
made:
  store i64 %whole, ptr %fresh
  %result = getelementptr i8, ptr %fresh, i64 64
  ret ptr %result
}}

define void @argand_scratch_give(ptr %block, i64 %worker) nounwind {{
entry:
  %nothing = icmp eq ptr %block, null
  %who = urem i64 %worker, {most}
  %row = getelementptr [{slots} x ptr], ptr @cached, i64 %who
  br i1 %nothing, label %done, label %look
look:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %at = getelementptr ptr, ptr %row, i64 %k
  %pair = cmpxchg ptr %at, ptr null, ptr %block acq_rel monotonic
  %stored = extractvalue {{ ptr, i1 }} %pair, 1
  br i1 %stored, label %done, label %next
next:
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, {slots}
  br i1 %more, label %look, label %swap
swap:
  ; all places taken: this block in, the oldest out
  %old = atomicrmw xchg ptr %row, ptr %block acq_rel
  %gone = icmp eq ptr %old, null
  br i1 %gone, label %done, label %drop
drop:
  %head = getelementptr i8, ptr %old, i64 -64
  call void @free(ptr %head)
  br label %done
done:
  ret void
}}

declare i64 @llvm.ctlz.i64(i64, i1)
"""


def pool_text(triple: str) -> str:
    """The pool's LLVM IR for x86-64 or aarch64 Linux."""
    if triple.startswith("x86_64"):
        futex = 202
        declaration = "declare void @llvm.x86.sse2.pause()"
        pause = "call void @llvm.x86.sse2.pause()"
    else:
        futex = 98
        declaration = "declare void @llvm.aarch64.hint(i32)"
        pause = "call void @llvm.aarch64.hint(i32 1)"
    return f'target triple = "{triple}"\n' + _TEXT.format(
        closed=_CLOSED,
        futex=futex,
        least=_SCRATCH_LEAST,
        spins_before_sleep=_SPINS_BEFORE_SLEEP,
        most=MOST_THREADS,
        pause=pause,
        pause_declaration=declaration,
        slots=_SCRATCH_SLOTS,
        spins_before_yield=_SPINS_BEFORE_YIELD,
        worth=_WORTH_NANOSECONDS,
    )
