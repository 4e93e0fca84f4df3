;; The same two functions for extism, by hand: what a guest's kit would add on top is not counted against it.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "free" (func $free (param i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "load_u64" (func $load_u64 (param i64) (result i64)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (import "extism:host/user" "echo" (func $echo (param i64) (result i64)))
  (memory (export "memory") 1)

  ;; The host's text, a multiple of eight bytes, into our memory at `to`.
  (func $take (param $from i64) (param $bytes i64)
    (local $i i64)
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $i) (local.get $bytes)))
        (i64.store (i32.wrap_i64 (local.get $i))
          (call $input_load_u64 (i64.add (local.get $from) (local.get $i))))
        (local.set $i (i64.add (local.get $i) (i64.const 8)))
        (br $next))))

  ;; So many bytes of our memory into a new block of extism's.
  (func $give (param $bytes i64) (result i64)
    (local $i i64) (local $block i64)
    (local.set $block (call $alloc (local.get $bytes)))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $i) (local.get $bytes)))
        (call $store_u64 (i64.add (local.get $block) (local.get $i))
          (i64.load (i32.wrap_i64 (local.get $i))))
        (local.set $i (i64.add (local.get $i) (i64.const 8)))
        (br $next)))
    (local.get $block))

  ;; Gives the text back.
  (func (export "greet") (result i32)
    (local $bytes i64)
    (local.set $bytes (call $input_length))
    (call $take (i64.const 0) (local.get $bytes))
    (call $output_set (call $give (local.get $bytes)) (local.get $bytes))
    (i32.const 0))

  ;; Input: how often, then the text. Calls `echo` and reads what came back; gives nothing.
  (func (export "ask") (result i32)
    (local $times i64) (local $bytes i64) (local $i i64) (local $to i64) (local $back i64) (local $len i64)
    (local.set $times (call $input_load_u64 (i64.const 0)))
    (local.set $bytes (i64.sub (call $input_length) (i64.const 8)))
    (call $take (i64.const 8) (local.get $bytes))
    (block $done
      (loop $next
        (br_if $done (i64.eqz (local.get $times)))
        (local.set $to (call $give (local.get $bytes)))
        (local.set $back (call $echo (local.get $to)))
        (call $free (local.get $to))
        (local.set $len (call $length (local.get $back)))
        (local.set $i (i64.const 0))
        (block $read
          (loop $more
            (br_if $read (i64.ge_u (local.get $i) (local.get $len)))
            (i64.store (i32.add (i32.const 1024) (i32.wrap_i64 (local.get $i)))
              (call $load_u64 (i64.add (local.get $back) (local.get $i))))
            (local.set $i (i64.add (local.get $i) (i64.const 8)))
            (br $more)))
        (call $free (local.get $back))
        (local.set $times (i64.sub (local.get $times) (i64.const 1)))
        (br $next)))
    (i32.const 0)))
