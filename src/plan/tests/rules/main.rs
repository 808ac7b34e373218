//! The planner's rules, each with a test that fails without it: examples by rule, properties over random volumes and
//! a second planner that has to agree, a restore against every interleaving with AgentTier's steps, and in virtual time two
//! weeks of a cluster, a week of one that Velero backs up as well, and two months of a few volumes.
#![allow(clippy::unwrap_used)]

mod admission;
mod agenttier;
mod agenttiers_loop;
mod amended;
mod beside_velero;
mod classes;
mod closing;
mod cluster;
mod disturbed;
mod due;
mod gone;
mod hidden;
mod history;
mod intervals;
mod json;
mod left_behind;
mod lives;
mod mass;
mod on_request;
mod overrides;
mod pressure;
mod promises;
mod protection;
mod records;
mod reference;
mod rest;
mod restore;
mod retention;
mod schedules;
mod seasons;
mod shortened;
mod simulation;
mod suspension;
mod switched;
mod thinning;
mod velero;
mod wake;
mod words;
mod world;
mod worlds;
