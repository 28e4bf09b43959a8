//! What the AIRs' expressions are made of, from the proving key: it says which ways of evaluating them pay.

use logup_wgpu::{Air, Node, NodeId, Result, Round0Plan, Strategy};
use serde_json::{Value, json};

use crate::{
    fixtures::vm_airs::keccak_vm_airs,
    measure::{L_SKIP, short_name},
    stock::StockAir,
};

/// One AIR's counts.
fn count(stock: &StockAir) -> Result<Value> {
    let air = stock.whole_air();
    let by_degree = |nodes: &mut dyn Iterator<Item = NodeId>| {
        let mut counts = vec![0usize; air.constraint_degree() + 1];
        nodes.for_each(|node| counts[air.degree(node)] += 1);
        counts
    };
    let products = air.node_ids().zip(air.nodes()).filter(|(_, node)| is_product(&air, node)).count();
    let plan = |air: Air| Round0Plan::new(air, L_SKIP, Strategy::Split);
    let [logup, zerocheck] = [plan(air.clone().without_constraints())?, plan(air.clone().without_interactions())?];
    let textbook = zerocheck.num_columns_used() * air.constraint_degree().saturating_sub(1);
    Ok(json!({
        "name": stock.name,
        "columns": stock.width.total_width(),
        "constraints_by_degree": by_degree(&mut air.constraints().iter().copied()),
        "fields_and_counts_by_degree": by_degree(&mut air.interactions().iter().flat_map(|i| i.message.iter().chain([&i.count])).copied()),
        "nodes": air.nodes().len(),
        "products": products,
        "boolean_columns": air.boolean_columns().len(),
        "transforms_textbook": textbook,
        "transforms_zerocheck": zerocheck.num_transforms(),
        "look_ups_zerocheck": zerocheck.num_look_ups(),
        "transforms_logup": logup.num_transforms(),
        "kernels": zerocheck.num_generated_kernels(),
    }))
}

fn is_product(air: &Air, node: &Node) -> bool {
    matches!(*node, Node::Mul(a, b) if air.degree(a) > 0 && air.degree(b) > 0)
}

/// Prints the table, or one line of JSON.
pub fn print(as_json: bool) -> Result<()> {
    let counts = keccak_vm_airs().iter().map(count).collect::<Result<Vec<_>>>()?;
    if as_json {
        println!("{}", json!({ "census": counts }));
        return Ok(());
    }
    println!(
        "{:<34}{:>8}{:>16}{:>16}{:>8}{:>9}{:>9}{:>10}{:>7}{:>7}{:>7}{:>8}",
        "AIR", "columns", "constraints", "fields, counts", "nodes", "products", "booleans", "textbook", "zero", "bits", "logup", "kernels"
    );
    for air in &counts {
        let degrees = |key: &str| air[key].as_array().into_iter().flatten().map(Value::to_string).collect::<Vec<_>>().join("/");
        println!(
            "{:<34}{:>8}{:>16}{:>16}{:>8}{:>9}{:>9}{:>10}{:>7}{:>7}{:>7}{:>8}",
            short_name(air).chars().take(33).collect::<String>(),
            air["columns"].to_string(),
            degrees("constraints_by_degree"),
            degrees("fields_and_counts_by_degree"),
            air["nodes"].to_string(),
            air["products"].to_string(),
            air["boolean_columns"].to_string(),
            air["transforms_textbook"].to_string(),
            air["transforms_zerocheck"].to_string(),
            air["look_ups_zerocheck"].to_string(),
            air["transforms_logup"].to_string(),
            air["kernels"].to_string(),
        );
    }
    println!("constraints, fields and counts: by degree 0/1/2/..; textbook, zero, logup: columns or forms taken to a coset, for each row;");
    println!("bits: boolean columns looked up there");
    Ok(())
}
